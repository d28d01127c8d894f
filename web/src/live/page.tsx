// Calls in progress: where each stands, how long it goes on, and the last words of both.
import { useQuery } from "@tanstack/react-query";
import { Button, Empty, Spin, Tag } from "antd";
import { useCallback, useEffect } from "react";
import { api, body, type LiveCall } from "../api/client";
import { useNow } from "../api/events";
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
  const { failed, done } = useTell();
  const ear = useEar(useCallback(() => done(text.live.over), [done, text]));
  const { call: heard, end } = ear;
  const isOver = heard !== null && found.data !== undefined && !found.data.some(({ attempt }) => attempt.id === heard);
  useEffect(() => {
    if (isOver) end();
  }, [isOver, end]);
  const begin = (call: string) => ear.begin(call).catch(failed);
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
          <Row key={call.attempt.id} call={call} ear={ear} begin={begin} />
        ))}
      </ul>
    </div>
  );
}

interface RowProps {
  call: LiveCall;
  ear: Ear;
  begin(call: string): Promise<void>;
}

function Row({ call: { attempt, ward, found, asked, said }, ear, begin }: RowProps) {
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
      {attempt.state === "talking" && <Hear call={attempt.id} ear={ear} begin={begin} />}
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

function Hear({ call, ear, begin }: { call: string; ear: Ear; begin(call: string): Promise<void> }) {
  const text = useText();
  const state = ear.call === call ? ear.state : "off";
  return (
    <div className="row hear" data-ear={state}>
      {state === "off" ? (
        <Button onClick={() => void begin(call)}>{text.live.listen}</Button>
      ) : (
        <Button onClick={ear.end}>{text.live.stop}</Button>
      )}
      <span role="status">{text.live.ear[state]}</span>
    </div>
  );
}
