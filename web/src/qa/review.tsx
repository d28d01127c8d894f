// The review of a call: scores on the hospital's form, each finding right or wrong, and what was missed at a word.
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Alert, Button, Input, Modal, Radio, Select, Tag } from "antd";
import { useEffect, useState } from "react";
import { api, body, type Call, type Mark, type Review, type ReviewBody, type Reviews, type ScoreForm, type Turn } from "../api/client";
import { useConcepts, useSite } from "../api/site";
import { Failure, useTell } from "../frame/problems";
import { useLanguage, useText, word } from "../text";
import { useTimes } from "../text/times";
import { turnOf } from "./call";
import type { Span } from "./transcript";

interface Missed {
  turn: Turn;
  at: Span;
}

export function ReviewPanel({ call, seek, missed, taken }: {
  call: Call;
  seek: (ms: number) => void;
  missed: Missed | null;
  taken: () => void;
}) {
  const { id } = call.attempt;
  const forms = useQuery({ queryKey: ["review", "forms"], queryFn: () => body(api.GET("/api/v1/review/forms")), staleTime: Infinity });
  const given = useQuery({
    queryKey: ["reviews", id],
    queryFn: () => body(api.GET("/api/v1/calls/{id}/reviews", { params: { path: { id } } })),
  });
  const failed = forms.error ?? given.error;
  if (failed) return <Failure error={failed} />;
  const form = forms.data?.find((one) => one.id === given.data?.mine?.form) ?? forms.data?.[0];
  if (!given.data || !form) return null;
  return <Filled call={call} form={form} given={given.data} seek={seek} missed={missed} taken={taken} />;
}

/** What a review says of one finding; `null`: nothing yet. */
function judged(marks: Mark[], of: "finding" | "suppressed", position: number): "right" | "wrong" | null {
  const mark = marks.find((one) => one.of === of && one.position === position);
  return mark && mark.of !== "missed" ? (mark.is as "right" | "wrong") : null;
}

function Filled({ call, form, given, seek, missed, taken }: {
  call: Call;
  form: ScoreForm;
  given: Reviews;
  seek: (ms: number) => void;
  missed: Missed | null;
  taken: () => void;
}) {
  const { text, lang } = useLanguage();
  const tell = useTell();
  const queries = useQueryClient();
  const concept = useConcepts();
  const [scores, setScores] = useState<Record<string, string>>(given.mine?.scores ?? {});
  const [marks, setMarks] = useState<Mark[]>(given.mine?.marks ?? []);
  const [note, setNote] = useState(given.mine?.note ?? "");
  const isCompared = given.others.length > 0;
  const saving = useMutation({
    mutationFn: (review: ReviewBody) => body(api.PUT("/api/v1/calls/{id}/review", { params: { path: { id: call.attempt.id } }, body: review })),
    onSuccess: (reviews) => {
      tell.done(text.qa.saved);
      queries.setQueryData(["reviews", call.attempt.id], reviews);
      void queries.invalidateQueries({ queryKey: ["attempts"] });
    },
    onError: tell.failed,
  });
  const judge = (of: "finding" | "suppressed", position: number, is: "right" | "wrong") =>
    setMarks([...marks.filter((mark) => mark.of !== of || mark.position !== position), { of, position, is }]);
  const points = form.criteria.reduce((sum, one) => sum + (one.options.find((option) => option.id === scores[one.id])?.points ?? 0), 0);
  const most = form.criteria.reduce((sum, one) => sum + Math.max(...one.options.map((option) => option.points)), 0);
  const isWhole = form.criteria.every((criterion) => scores[criterion.id]);
  const findings = call.findings.map((finding, position) => ({ finding, position })).filter(({ finding }) => finding.polarity !== "absent");
  return (
    <section aria-label={text.qa.review}>
      <h1>{text.qa.review}</h1>
      {!given.mine && given.count > 0 && <Alert type="info" title={text.qa.blind} style={{ marginBottom: 10 }} />}
      {isCompared && <Alert type="info" title={text.qa.compared} style={{ marginBottom: 10 }} />}
      {findings.length + call.suppressed.length > 0 && <h2>{text.qa.findings}</h2>}
      {findings.map(({ finding, position }) => (
        <Judged
          key={`finding ${position}`}
          name={concept(finding.detail ?? finding.concept)}
          said={word(text.polarity, finding.polarity)}
          play={() => seek(Math.max(0, finding.from_ms - 1000))}
          is={judged(marks, "finding", position)}
          judge={(is) => judge("finding", position, is)}
          isFixed={isCompared}
        />
      ))}
      {call.suppressed.map((suppressed, position) => {
        const reply = turnOf(call, suppressed)?.reply;
        return (
          <Judged
            key={`suppressed ${position}`}
            name={concept(suppressed.concept)}
            said={text.qa.suppressed}
            play={reply ? () => seek(Math.max(0, reply.from_ms - 1000)) : undefined}
            is={judged(marks, "suppressed", position)}
            judge={(is) => judge("suppressed", position, is)}
            isFixed={isCompared}
          />
        );
      })}
      {marks.map(
        (mark) =>
          mark.of === "missed" && (
            <div key={`${mark.turn} ${mark.from} ${mark.concept}`} className="finding" data-missed={mark.concept}>
              <Tag color="gold">{text.qa.missed}</Tag> {concept(mark.concept)}{" "}
              <span translate="no">“{wordsAt(call, mark)}”</span>{" "}
              {!isCompared && (
                <Button size="small" onClick={() => setMarks(marks.filter((one) => one !== mark))}>
                  {text.qa.remove}
                </Button>
              )}
            </div>
          ),
      )}
      <h2 style={{ marginTop: 10 }}>
        {form[lang]} <span className="quiet figure">{text.qa.points(points, most)}</span>
      </h2>
      {form.criteria.map((criterion) => (
        <fieldset key={criterion.id} disabled={isCompared}>
          <legend>{criterion[lang]}</legend>
          <Radio.Group
            value={scores[criterion.id] ?? null}
            disabled={isCompared}
            options={criterion.options.map((option) => ({ value: option.id, label: option[lang] }))}
            onChange={(event) => setScores({ ...scores, [criterion.id]: String(event.target.value) })}
          />
        </fieldset>
      ))}
      <Input.TextArea
        aria-label={text.order.note}
        placeholder={text.order.note}
        rows={2}
        maxLength={2000}
        value={note}
        disabled={isCompared}
        onChange={(event) => setNote(event.target.value)}
      />
      {!isCompared && (
        <Button
          type="primary"
          block
          style={{ marginTop: 10 }}
          disabled={!isWhole}
          loading={saving.isPending}
          onClick={() => saving.mutate({ form: form.id, revision: form.revision, scores, marks, note })}
        >
          {given.mine ? text.qa.change : text.qa.give}
        </Button>
      )}
      {given.others.map((other) => (
        <Other key={other.reviewer} form={form} mine={given.mine ?? null} other={other} />
      ))}
      {missed && (
        <Missing
          missed={missed}
          stop={taken}
          add={(mark) => {
            setMarks([...marks, mark]);
            taken();
          }}
        />
      )}
    </section>
  );
}

function wordsAt(call: Call, mark: { turn: number; from: number; to: number }): string {
  const said = call.turns.find((turn) => turn.index === mark.turn)?.reply?.text ?? "";
  return [...said].slice(mark.from, mark.to).join("");
}

function Judged({ name, said, play, is, judge, isFixed }: {
  name: string;
  said: string;
  play: (() => void) | undefined;
  is: "right" | "wrong" | null;
  judge: (is: "right" | "wrong") => void;
  isFixed: boolean;
}) {
  const text = useText();
  return (
    <div className="finding">
      <div className="row">
        <span className="grow">
          <strong>{name}</strong> <span className="quiet">{said}</span>
        </span>
        {play && (
          <Button size="small" onClick={play}>
            {text.qa.play}
          </Button>
        )}
      </div>
      <Radio.Group
        aria-label={name}
        value={is}
        disabled={isFixed}
        options={[
          { value: "right", label: text.qa.right },
          { value: "wrong", label: text.qa.wrong },
        ]}
        onChange={(event) => judge(event.target.value as "right" | "wrong")}
      />
    </div>
  );
}

/** Which concept was missed at the chosen word. */
function Missing({ missed, stop, add }: { missed: Missed; stop: () => void; add: (mark: Mark) => void }) {
  const { text, lang } = useLanguage();
  const concepts = useSite()?.concepts ?? [];
  const [chosen, choose] = useState<string | null>(null);
  useEffect(() => choose(null), [missed]);
  const said = [...(missed.turn.reply?.text ?? "")].slice(missed.at.from, missed.at.to).join("");
  return (
    <Modal
      open
      title={text.qa.whatMissed}
      okText={text.save}
      cancelText={text.cancel}
      okButtonProps={{ disabled: !chosen }}
      onCancel={stop}
      onOk={() => chosen && add({ of: "missed", turn: missed.turn.index, from: missed.at.from, to: missed.at.to, concept: chosen })}
    >
      <p translate="no" className="said">
        “{said}”
      </p>
      <Select
        autoFocus
        aria-label={text.qa.whatMissed}
        showSearch={{ optionFilterProp: "label" }}
        style={{ width: "100%" }}
        value={chosen}
        onChange={choose}
        options={concepts.map((one) => ({ value: one.id, label: one[lang] }))}
      />
    </Modal>
  );
}

/** Another's review beside one's own, where the two differ. */
function Other({ form, mine, other }: { form: ScoreForm; mine: Review | null; other: Review }) {
  const { text, lang } = useLanguage();
  const times = useTimes();
  const label = (criterion: ScoreForm["criteria"][number], review: Review | null) =>
    criterion.options.find((option) => option.id === review?.scores[criterion.id])?.[lang] ?? "–";
  return (
    <div style={{ marginTop: 12 }}>
      <h2>
        <span translate="no">{other.reviewer}</span> · {times.moment(other.at)}
      </h2>
      <table className="plain">
        <thead>
          <tr>
            <th>{text.qa.criterion}</th>
            <th>{text.qa.mine}</th>
            <th>{text.qa.theirs}</th>
          </tr>
        </thead>
        <tbody>
          {form.criteria.map((criterion) => (
            <tr key={criterion.id}>
              <td>{criterion[lang]}</td>
              <td>{label(criterion, mine)}</td>
              <td>{label(criterion, other)}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {other.note && <p translate="no">{other.note}</p>}
    </div>
  );
}
