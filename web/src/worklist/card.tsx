// One order: who, what was said and how it sounded, what it is compared with, and what is done about it.
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Button, Collapse, Spin, Tag } from "antd";
import { useState } from "react";
import { api, body, type Attempt, type Call, type Cause, type Finding, type Patient, type Plan, type WorkOrder } from "../api/client";
import { may, useMe } from "../api/session";
import { useConcepts } from "../api/site";
import { useKeys } from "../frame/keys";
import { Failure, useTell } from "../frame/problems";
import { Transcript } from "../qa/transcript";
import { useText, word } from "../text";
import { useTimes } from "../text/times";
import { Act, type Doing } from "./act";
import { ContactList } from "./contacts";
import { Deadline } from "./deadline";
import { Earlier } from "./earlier";
import { History } from "./history";
import { causeWords, orderWords, type Urgency } from "./orders";
import { useClip } from "./play";
import { TrendLines } from "./trends";
import { COLOUR } from "./worklist";

export function OrderCard({ id }: { id: string }) {
  const found = useQuery({
    queryKey: ["order", id],
    queryFn: () => body(api.GET("/api/v1/work-orders/{id}", { params: { path: { id } } })),
  });
  return (
    <div className="card" data-order={id}>
      {found.error && <Failure error={found.error} again={() => void found.refetch()} />}
      {found.isPending && <Spin style={{ display: "block", marginTop: 80 }} />}
      {found.data && <Opened order={found.data} />}
    </div>
  );
}

/** The finding a nurse is to hear first, with the call it is from. */
function heardFirst(order: WorkOrder): { finding: Finding; call: string } | null {
  for (const cause of order.causes) {
    const call = cause.attempt ?? order.attempt;
    if (cause.finding && call) return { finding: cause.finding, call };
  }
  return null;
}

function Opened({ order }: { order: WorkOrder }) {
  const text = useText();
  const me = useMe();
  const tell = useTell();
  const queries = useQueryClient();
  const concept = useConcepts();
  const [doing, setDoing] = useState<Doing | null>(null);
  const [contacts, setContacts] = useState(false);
  const first = heardFirst(order);
  const callId = first?.call ?? order.attempt ?? null;
  const patient = usePatient(order.patient);
  const plans = usePlans(order.patient);
  const call = useCall(callId);
  const clip = useClip();
  const urgency = order.urgency as Urgency;
  const mayWork = may(me, "work");
  const stay = plans.data?.items.find((plan) => plan.episode === order.episode);

  const changed = async () => {
    await Promise.all([
      queries.invalidateQueries({ queryKey: ["order", order.id] }),
      queries.invalidateQueries({ queryKey: ["orders"] }),
      queries.invalidateQueries({ queryKey: ["history", order.id] }),
    ]);
  };
  const acknowledge = useMutation({
    mutationFn: () => body(api.POST("/api/v1/work-orders/{id}/acknowledge", { params: { path: { id: order.id } } })),
    onSuccess: () => tell.done(text.order.acknowledged),
    onError: tell.failed,
    onSettled: changed,
  });
  const canTake = mayWork && order.state === "open" && !acknowledge.isPending;
  const isMine = mayWork && order.state === "acknowledged";
  const mayTell = isMine && !order.spoken_at;
  const hear = () => first && call.data?.recorded && clip.toggle(first.call, first.finding);
  useKeys({
    a: () => canTake && acknowledge.mutate(),
    c: () => isMine && setDoing("close"),
    s: () => mayTell && setDoing("spoken"),
    h: () => mayWork && order.state !== "closed" && setDoing("hand_over"),
    p: () => void hear(),
    t: () => setContacts((shown) => !shown),
  });

  return (
    <>
      <div className="row" style={{ marginBottom: 10 }}>
        <Tag color={COLOUR[urgency]} variant="solid">
          {text.urgency[urgency]}
        </Tag>
        <h1 className="grow" style={{ margin: 0 }}>
          {orderWords(order, text, concept)}
        </h1>
        <span data-state={order.state}>{text.orderState[order.state as keyof typeof text.orderState]}</span>
        {order.state === "open" && <Deadline dueAt={order.due_at} />}
      </div>
      <div className="actions">
        {mayWork && order.state === "open" && (
          <Button type="primary" size="large" loading={acknowledge.isPending} onClick={() => acknowledge.mutate()}>
            {text.order.acknowledge} <kbd>a</kbd>
          </Button>
        )}
        {mayTell && (
          <Button type={order.promised_by ? "primary" : "default"} size="large" onClick={() => setDoing("spoken")}>
            {text.order.spoken} <kbd>s</kbd>
          </Button>
        )}
        {isMine && (
          <Button type={mayTell && order.promised_by ? "default" : "primary"} size="large" onClick={() => setDoing("close")}>
            {text.order.close} <kbd>c</kbd>
          </Button>
        )}
        {mayWork && order.state !== "closed" && (
          <Button size="large" onClick={() => setDoing("hand_over")}>
            {text.order.handOver} <kbd>h</kbd>
          </Button>
        )}
        {mayWork && order.state === "closed" && (
          <Button size="large" onClick={() => setDoing("reopen")}>
            {text.order.reopen}
          </Button>
        )}
        <Button size="large" aria-expanded={contacts} onClick={() => setContacts((shown) => !shown)}>
          {text.order.contacts} <kbd>t</kbd>
        </Button>
      </div>
      {contacts && patient.data && <ContactList patient={patient.data} />}
      <Who order={order} patient={patient.data} stay={stay} attempt={call.data?.attempt} />
      {patient.error && <Failure error={patient.error} />}
      {order.causes.map((cause, place) => (
        <CauseSection key={place} cause={cause} order={order} call={call.data} clip={clip} isFirst={cause.finding === first?.finding} />
      ))}
      {first && order.patient && <Earlier patient={order.patient} episode={order.episode ?? null} call={first.call} node={first.finding.node} />}
      {order.trends && order.trends.length > 0 && <TrendLines trends={order.trends} />}
      {call.data && (
        <Collapse
          style={{ background: "#fff" }}
          items={[{ key: "all", label: text.order.transcript, children: <Transcript call={call.data} /> }]}
        />
      )}
      <History order={order.id} />
      <Act order={order} doing={doing} stop={() => setDoing(null)} done={changed} />
    </>
  );
}

function usePatient(id: string | null | undefined) {
  return useQuery({
    queryKey: ["patient", id],
    queryFn: () => body(api.GET("/api/v1/patients/{id}", { params: { path: { id: id! } } })),
    enabled: !!id,
    staleTime: 60_000,
  });
}

function usePlans(id: string | null | undefined) {
  return useQuery({
    queryKey: ["plans", id],
    queryFn: () => body(api.GET("/api/v1/patients/{id}/plans", { params: { path: { id: id! } } })),
    enabled: !!id,
    staleTime: 60_000,
  });
}

export function useCall(id: string | null) {
  return useQuery({
    queryKey: ["call", id],
    queryFn: () => body(api.GET("/api/v1/calls/{id}", { params: { path: { id: id! } } })),
    enabled: !!id,
    staleTime: 60_000,
  });
}

function years(birth: string, at: string): number {
  const [born, then] = [new Date(birth), new Date(at)];
  const before = [then.getUTCMonth(), then.getUTCDate()] < [born.getUTCMonth(), born.getUTCDate()];
  return then.getUTCFullYear() - born.getUTCFullYear() - (before ? 1 : 0);
}

function Who({ order, patient, stay, attempt }: {
  order: WorkOrder;
  patient: Patient | undefined;
  stay: Plan | undefined;
  attempt: Attempt | undefined;
}) {
  const text = useText();
  const times = useTimes();
  return (
    <section>
      <dl className="facts">
        <div>
          <dt>{text.order.patient}</dt>
          <dd translate="no">
            <strong>{patient?.name ?? "···"}</strong>
          </dd>
          {patient && <dd>{text.age(years(patient.birth_date, order.raised_at))}</dd>}
        </div>
        {(stay?.ward ?? order.ward) && (
          <div>
            <dt>{text.ward}</dt>
            <dd translate="no">{stay?.ward ?? order.ward}</dd>
          </div>
        )}
        {stay && (
          <div>
            <dt>{text.order.discharged}</dt>
            <dd>
              {times.date(stay.discharged_at)}
              {attempt && ` · ${text.day(attempt.day)}`}
            </dd>
          </div>
        )}
        <div>
          <dt>{text.order.raised}</dt>
          <dd>{times.moment(order.raised_at)}</dd>
        </div>
        {order.promised_by && !order.spoken_at && (
          <div>
            <dt>{text.order.promised}</dt>
            <dd>{times.moment(order.promised_by)}</dd>
          </div>
        )}
      </dl>
      <div className="facts">
        {stay && <span>{word(text.script, stay.pathway)}</span>}
        {stay?.high_risk && <Tag color="red">{text.order.highRisk}</Tag>}
        {order.spoken_by && <span translate="no">{text.order.spokenBy(order.spoken_by)}</span>}
        {order.owner && <span translate="no">{text.order.owner(order.owner)}</span>}
        {order.closed_by && (
          <span>
            <span translate="no">{text.order.closedBy(order.closed_by)}</span>
            {order.outcome && ` · ${text.outcome[order.outcome as keyof typeof text.outcome]}`}
          </span>
        )}
      </div>
      {order.note && <p translate="no">{order.note}</p>}
    </section>
  );
}

function CauseSection({ cause, order, call, clip, isFirst }: {
  cause: Cause;
  order: WorkOrder;
  call: Call | undefined;
  clip: ReturnType<typeof useClip>;
  isFirst: boolean;
}) {
  const text = useText();
  const concept = useConcepts();
  const { finding } = cause;
  if (!finding) {
    if (!cause.words && !cause.pack && !cause.node) return null;
    const question = call?.turns.find((turn) => turn.node === cause.node)?.prompt;
    return (
      <section>
        <h2>{causeWords(cause, text, concept)}</h2>
        {question && (
          <p className="asked" translate="no">
            {question}
          </p>
        )}
        {cause.kind !== "task" && <span translate="no">{cause.words ?? cause.pack?.why}</span>}
      </section>
    );
  }
  const turn = call?.turns.find((one) => one.index === finding.turn);
  const from = cause.attempt ?? order.attempt;
  const isPlaying = clip.playing === finding;
  return (
    <section>
      <h2>
        {concept(finding.detail ?? finding.concept)}{" "}
        {finding.confirmation === "confirmed" && <Tag color="green">{text.order.confirmed}</Tag>}
        {(finding.confirmation === "due" || finding.confirmation === "unclear") && <Tag color="gold">{text.order.unconfirmed}</Tag>}
        {isHeardLater(finding.evidence) && <Tag color="gold">{text.order.heardLater}</Tag>}
        {finding.denied != null && <Tag color="gold">{text.order.denied}</Tag>}
        {finding.subject === "newborn" && <Tag color="purple">{text.order.newborn}</Tag>}
      </h2>
      {turn && (
        <p className="asked">
          {text.order.question}: <span translate="no">{turn.prompt}</span>
        </p>
      )}
      <p className="said" translate="no" data-said>
        “{String((finding.evidence as { raw?: unknown }).raw ?? "")}”
      </p>
      {from && call?.attempt.id === from && (
        call.recorded ? (
          <Button onClick={() => void clip.toggle(from, finding)} loading={clip.loading === finding}>
            {isPlaying ? text.order.stop : text.order.play} {isFirst && <kbd>p</kbd>}
          </Button>
        ) : (
          <span className="quiet">{text.order.noRecording}</span>
        )
      )}
    </section>
  );
}

/** A slower ear found it in the recording; nobody was asked about it. */
function isHeardLater(evidence: unknown) {
  const { rules } = evidence as { rules?: { rule: string }[] };
  return rules?.some(({ rule }) => rule === "heard_after_the_call") ?? false;
}
