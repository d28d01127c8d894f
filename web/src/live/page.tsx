// Calls in progress: where each stands, how long it goes on, and the last words of both.
import { useQuery } from "@tanstack/react-query";
import { Button, Empty, Popconfirm, Spin, Tag } from "antd";
import { useCallback, useEffect, useRef } from "react";
import { api, body, type LiveCall } from "../api/client";
import { useNow } from "../api/events";
import { may, useMe } from "../api/session";
import { useConcepts } from "../api/site";
import { Failure, useTell } from "../frame/problems";
import { span, useText, word } from "../text";
import { useEar, type Ear } from "./ear";
import "./live.css";

const COLOUR: Record<string, string> = { talking: "green", ringing: "gold", dialling: "blue" };

export default function Live() {
  const text = useText();
  const found = useQuery({
    queryKey: ["live"],
    queryFn: () => body(api.GET("/api/v1/live")),
    // Events tell of a new turn; the list comes anew by itself where they are cut off.
    refetchInterval: 15_000,
  });
  const { done } = useTell();
  const ear = useEar(useCallback(() => done(text.live.over), [done, text]));
  const { call: heard, end } = ear;
  const isOver = heard !== null && found.data !== undefined && !found.data.some(({ attempt }) => attempt.id === heard);
  useEffect(() => {
    if (isOver) end();
  }, [isOver, end]);
  const { takenAt, act } = useActs(ear, found.refetch);
  // The server gives the patient back to the robot by itself where the microphone falls silent.
  const me = useMe();
  const held = found.data?.find(({ attempt }) => attempt.id === heard)?.taken_over_by;
  const isReleased = ear.state === "talking" && found.dataUpdatedAt > takenAt.current && held !== me.name;
  const { released } = ear;
  useEffect(() => {
    if (!isReleased) return;
    released();
    done(text.live.released);
  }, [isReleased, released, done, text]);
  return (
    <div className="page">
      <h1>
        {text.live.title} <span className="quiet figure">{found.data?.length}</span>
      </h1>
      {found.error && <Failure error={found.error} again={() => void found.refetch()} />}
      {found.isPending && <Spin style={{ display: "block", padding: 40 }} />}
      {found.data?.length === 0 && <Empty description={text.live.none} style={{ padding: 40 }} />}
      <ul className="live">
        {found.data?.map((call) => (
          <Row key={call.attempt.id} call={call} ear={ear} act={act} />
        ))}
      </ul>
    </div>
  );
}

type Act = (what: () => Promise<void>) => void;

/** Does what a button says, tells what failed, and looks at the calls anew. */
function useActs(ear: Ear, look: () => Promise<unknown>): { takenAt: { current: number }; act: Act } {
  const { failed } = useTell();
  const takenAt = useRef(Infinity);
  const { state } = ear;
  useEffect(() => {
    takenAt.current = state === "talking" ? Date.now() : Infinity;
  }, [state]);
  const act = (what: () => Promise<void>) => void what().catch(failed).finally(() => void look());
  return { takenAt, act };
}

interface RowProps {
  call: LiveCall;
  ear: Ear;
  act: Act;
}

function Row({ call, ear, act }: RowProps) {
  const { attempt, ward, found, asked, said } = call;
  const text = useText();
  const concept = useConcepts();
  const now = useNow();
  const since = Date.parse(attempt.answered_at ?? attempt.started_at);
  return (
    <li data-call={attempt.id}>
      <div className="row">
        <Tag color={COLOUR[attempt.state] ?? "default"}>{word(text.callState, attempt.state)}</Tag>
        <span className="figure">{span(now - since)}</span>
        <span className="grow">
          {text.ward} <span translate="no">{ward}</span> · {word(text.script, attempt.script)} · {text.day(attempt.day)}
          {attempt.inbound && ` · ${text.live.inbound}`}
        </span>
        {!attempt.identified && attempt.state === "talking" && <Tag>{text.live.unidentified}</Tag>}
        {found.map((id) => (
          <Tag key={id} color="red">
            {concept(id)}
          </Tag>
        ))}
      </div>
      {attempt.state === "talking" && <Hear call={call} ear={ear} act={act} />}
      {asked && (
        <p className="quiet">
          {text.order.robot}: <span translate="no">{asked}</span>
        </p>
      )}
      {said && (
        <p className="said" translate="no" lang={attempt.lang}>
          “{said}”
        </p>
      )}
    </li>
  );
}

/** What can be done with a call: hear it, take the patient over, give them back, end it. */
function Hear({ call, ear, act }: RowProps) {
  const text = useText();
  const me = useMe();
  const state = ear.call === call.attempt.id ? ear.state : "off";
  const other = call.taken_over_by !== me.name || state === "off" ? call.taken_over_by : null;
  return (
    <div className="row hear" data-ear={state}>
      {state === "off" ? (
        <Button onClick={() => act(() => ear.begin(call.attempt.id))}>{text.live.listen}</Button>
      ) : (
        state !== "talking" && <Button onClick={ear.end}>{text.live.stop}</Button>
      )}
      {(state === "listening" || state === "taking") && may(me, "work") && (
        <Button type="primary" disabled={!!other} loading={state === "taking"} onClick={() => act(ear.takeOver)}>
          {text.live.takeOver}
        </Button>
      )}
      {state === "talking" && (
        <>
          <Button type="primary" onClick={() => act(ear.handBack)}>
            {text.live.handBack}
          </Button>
          <Popconfirm title={text.live.hangUpSure} okText={text.live.hangUp} cancelText={text.cancel} onConfirm={() => act(ear.hangUp)}>
            <Button danger>{text.live.hangUp}</Button>
          </Popconfirm>
        </>
      )}
      <span role="status">{text.live.ear[state]}</span>
      {other && <Tag color="purple">{text.live.heldBy(other)}</Tag>}
    </div>
  );
}
