// How well red flags are found in the field, how far two reviewers agree, and the corrected replies to take away.
import { useQuery } from "@tanstack/react-query";
import { Button, Spin } from "antd";
import { api, body } from "../api/client";
import { Failure } from "../frame/problems";
import { useLanguage, type Texts } from "../text";

interface Estimate {
  value: number;
  low: number;
  high: number;
}

function share(estimate: Estimate | null | undefined, text: Texts): string {
  return estimate ? `${text.percent(estimate.value)} (${text.interval(estimate.low, estimate.high)})` : "–";
}

export function Agreement() {
  const { text, lang } = useLanguage();
  const forms = useQuery({ queryKey: ["review", "forms"], queryFn: () => body(api.GET("/api/v1/review/forms")), staleTime: Infinity });
  const found = useQuery({ queryKey: ["review", "agreement"], queryFn: () => body(api.GET("/api/v1/review/agreement")) });
  const figures = useQuery({ queryKey: ["audit", "figures"], queryFn: () => body(api.GET("/api/v1/audit/figures")) });
  const failed = forms.error ?? found.error ?? figures.error;
  if (failed) return <Failure error={failed} />;
  if (!forms.data || !found.data || !figures.data) return <Spin style={{ display: "block", marginTop: 80 }} />;
  const name = (form: string, line: { about: string; criterion?: string | null }) => {
    const criteria = forms.data.find((one) => one.id === form)?.criteria;
    const criterion = criteria?.find((one) => one.id === line.criterion);
    return criterion ? criterion[lang] : line.about === "findings" ? text.qa.aboutFindings : text.qa.aboutMissed;
  };
  const { sensitivity, ppv, missed, suppressed_missed } = figures.data;
  const field = [
    [text.qa.sensitivity, sensitivity],
    [text.qa.ppv, ppv],
    [text.qa.missedCalls, missed],
    [text.qa.missedSuppressed, suppressed_missed],
  ] as const;
  return (
    <>
      <div className="list" style={{ marginTop: 12, padding: 14 }}>
        <h1>{text.qa.field}</h1>
        <table className="plain">
          <tbody>
            {field.map(([words, estimate]) => (
              <tr key={words}>
                <th scope="row">{words}</th>
                <td className="figure">{share(estimate, text)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {found.data.map(({ form, lines }) => (
        <div key={form} className="list" style={{ padding: 14 }}>
          <h1>{text.qa.agreed(forms.data.find((one) => one.id === form)?.[lang] ?? form)}</h1>
          <table className="plain">
            <thead>
              <tr>
                <th>{text.qa.criterion}</th>
                <th>{text.qa.both}</th>
                <th>{text.qa.same}</th>
                <th>{text.qa.kappa}</th>
              </tr>
            </thead>
            <tbody>
              {lines.map((line) => (
                <tr key={`${line.about} ${line.criterion ?? ""}`}>
                  <td>{name(form, line)}</td>
                  <td className="figure">{line.items}</td>
                  <td className="figure">{line.share == null ? "–" : text.percent(line.share)}</td>
                  <td className="figure">
                    {line.kappa ? `${line.kappa.value.toFixed(2)} (${line.kappa.low.toFixed(2)} – ${line.kappa.high.toFixed(2)})` : "–"}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      ))}
      <div className="list" style={{ padding: 14 }}>
        <h1>{text.qa.corrected}</h1>
        <p className="quiet">{text.qa.correctedHelp}</p>
        {(["zh", "en"] as const).map((of) => (
          <Button key={of} href={`/api/v1/review/rows?lang=${of}`} download={`rows.${of}.tsv`} style={{ marginRight: 8 }}>
            {text.qa.rowsOf[of]}
          </Button>
        ))}
      </div>
    </>
  );
}
