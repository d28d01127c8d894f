// One call: its sound on both sides, who said what, and what the reviewer says of it.
import { useQuery } from "@tanstack/react-query";
import { Alert, Button, Spin, Tag } from "antd";
import { useMemo, useRef, useState } from "react";
import { useParams, useSearchParams } from "react-router";
import { api, body, type Call, type Suppressed, type Turn } from "../api/client";
import { may, useMe } from "../api/session";
import { useConcepts } from "../api/site";
import { Failure } from "../frame/problems";
import { useText, word } from "../text";
import { useTimes } from "../text/times";
import { useCall } from "../worklist/card";
import { Player, type PlayerControl, type Stretch } from "./player";
import { ReviewPanel } from "./review";
import { Verdict } from "./sample";
import { Transcript, type Span } from "./transcript";

export function CallPage() {
  const { id } = useParams();
  const found = useCall(id ?? null);
  if (found.error) return <Failure error={found.error} again={() => void found.refetch()} />;
  if (!found.data) return <Spin style={{ display: "block", marginTop: 80 }} />;
  return <Opened key={found.data.attempt.id} call={found.data} />;
}

/** A suppressed finding stands where its words were said. */
export function turnOf(call: Call, suppressed: Suppressed): Turn | undefined {
  const { raw } = suppressed.evidence as { raw?: string };
  return call.turns.find((turn) => turn.reply && turn.reply.text === raw);
}

function Opened({ call }: { call: Call }) {
  const text = useText();
  const me = useMe();
  const concept = useConcepts();
  const [search] = useSearchParams();
  const item = search.get("item");
  const [at, setAt] = useState(-1);
  const [missed, setMissed] = useState<{ turn: Turn; at: Span } | null>(null);
  const [misses, setMisses] = useState(false);
  const player = useRef<PlayerControl>(null);
  const seek = (ms: number) => player.current?.playFrom(ms);
  const stretches = useMemo<Stretch[]>(() => {
    const found = call.findings
      .filter((finding) => finding.polarity !== "absent")
      .map((finding) => ({ fromMs: finding.from_ms, toMs: finding.to_ms, name: concept(finding.detail ?? finding.concept), suppressed: false }));
    const suppressed = call.suppressed.flatMap((one) => {
      const reply = turnOf(call, one)?.reply;
      return reply ? [{ fromMs: reply.from_ms, toMs: reply.to_ms, name: concept(one.concept), suppressed: true }] : [];
    });
    return [...found, ...suppressed].sort((one, other) => one.fromMs - other.fromMs);
  }, [call, concept]);
  return (
    <div className="call" data-call={call.attempt.id}>
      <div className="heard">
        <Head call={call} />
        {call.recorded ? (
          <Player call={call.attempt.id} stretches={stretches} onAt={setAt} control={player} />
        ) : (
          <Alert type="info" title={text.order.noRecording} style={{ marginBottom: 12 }} />
        )}
        {stretches.length > 0 && (
          <section aria-label={text.qa.timeLine}>
            <h2>{text.qa.timeLine}</h2>
            {stretches.map((one, nth) => (
              <Button key={nth} size="small" style={{ margin: "0 6px 6px 0" }} onClick={() => seek(one.fromMs)}>
                {one.name} {one.suppressed && <Tag>{text.qa.suppressed}</Tag>}
              </Button>
            ))}
          </section>
        )}
        <section>
          <div className="row">
            <h2 className="grow">{text.order.transcript}</h2>
            {may(me, "review") && (
              <Button aria-pressed={misses} type={misses ? "primary" : "default"} onClick={() => setMisses(!misses)}>
                {text.qa.markMissed}
              </Button>
            )}
          </div>
          {misses && <p className="quiet">{text.qa.markHelp}</p>}
          <Transcript call={call} listening={{ at, seek, miss: misses ? (turn, span) => setMissed({ turn, at: span }) : undefined }} />
        </section>
      </div>
      <div className="judged">
        {item && <Verdict id={item} call={call} />}
        {may(me, "review") && <ReviewPanel call={call} seek={seek} missed={missed} taken={() => setMissed(null)} />}
      </div>
    </div>
  );
}

function Head({ call }: { call: Call }) {
  const text = useText();
  const times = useTimes();
  const { attempt } = call;
  const patient = useQuery({
    queryKey: ["patient", attempt.patient],
    queryFn: () => body(api.GET("/api/v1/patients/{id}", { params: { path: { id: attempt.patient! } } })),
    enabled: !!attempt.patient,
    staleTime: 60_000,
  });
  const latencies = call.turns.flatMap((turn) => (turn.reply?.latency_ms != null ? [turn.reply.latency_ms] : [])).sort((a, b) => a - b);
  const middle = latencies[Math.floor((latencies.length - 1) / 2)];
  const facts: [name: string, value: string, isName?: boolean][] = [
    [text.order.patient, patient.data?.name ?? "···", true],
    [text.qa.began, times.moment(attempt.started_at)],
    [text.qa.script, `${word(text.script, attempt.script)} · ${text.day(attempt.day)}`],
    [text.qa.ended, word(text.disposition, attempt.ending?.disposition) || word(text.callState, attempt.state)],
    [text.qa.answeredBy, word(text.answeredBy, attempt.ending?.answered_by)],
    ...(middle === undefined ? [] : [[text.qa.usualLatency, text.qa.milliseconds(middle)] as [string, string]]),
  ];
  return (
    <section>
      <h1>{text.qa.call}</h1>
      <dl className="facts">
        {facts.map(([name, value, isName]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd {...(isName ? { translate: "no" } : {})}>{value}</dd>
          </div>
        ))}
      </dl>
    </section>
  );
}
