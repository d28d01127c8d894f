// Play the patient by typing: the whole call is said anew for each reply, so that any of them can be taken back.
import { Button, Checkbox, Form, Input, Select, Space, Tag } from "antd";
import { useMutation } from "@tanstack/react-query";
import { useEffect, useRef, useState } from "react";
import { api, body } from "../api/client";
import { useConcepts } from "../api/site";
import { Failure } from "../frame/problems";
import { span, useText, word } from "../text";
import { useVersion, type Shown } from "./script";

export default function Rehearse({ id, lang, draft }: Shown) {
  const text = useText();
  const concept = useConcepts();
  const version = useVersion(id, lang, draft);
  const days = version.data?.head?.days ?? [3];
  const [day, setDay] = useState<number | null>(null);
  const [highRisk, setHighRisk] = useState(false);
  const [replies, setReplies] = useState<string[]>([]);
  const [typed, setTyped] = useState("");
  const end = useRef<HTMLOListElement>(null);
  const on = day ?? days[0] ?? 3;
  const call = useMutation({
    mutationFn: (said: string[]) =>
      body(api.POST("/api/v1/scripts/{id}/rehearse", { params: { path: { id } }, body: { lang, day: on, draft, high_risk: highRisk, replies: said } })),
  });
  const { mutate } = call;
  useEffect(() => {
    mutate(replies);
  }, [mutate, replies, on, highRisk]);
  useEffect(() => {
    end.current?.scrollTo({ top: end.current.scrollHeight });
  }, [call.data]);
  const say = (words: string) => {
    setReplies([...replies, words]);
    setTyped("");
  };
  const told = call.data;
  return (
    <>
      <Space wrap className="row">
        <Select aria-label={text.admin.scripts.day} value={on} onChange={setDay} options={days.map((one) => ({ value: one, label: text.day(one) }))} />
        <Checkbox checked={highRisk} onChange={({ target }) => setHighRisk(target.checked)}>
          {text.order.highRisk}
        </Checkbox>
        <Button onClick={() => setReplies([])}>{text.admin.scripts.fromStart}</Button>
        <Button disabled={replies.length === 0} onClick={() => setReplies(replies.slice(0, -1))}>
          {text.admin.scripts.takeBack}
        </Button>
        {told && (
          <span className="quiet">
            {text.admin.scripts.youAre} <span translate="no">{told.patient}</span>, {told.birth}
          </span>
        )}
      </Space>
      {call.error && <Failure error={call.error} />}
      <div className="split">
        <div>
          <ol ref={end} className="talk" aria-live="polite" tabIndex={0} aria-label={text.admin.scripts.parts.rehearse}>
            {told?.lines.map((line, at) => (
              <li key={at} className={line.by}>
                <span className="quiet">{span(1000 * line.at_s)}</span>
                <span className="who">{line.by === "robot" ? text.order.robot : line.by === "patient" ? text.order.patient : ""}</span>
                <span translate={line.by === "patient" && line.text === "" ? undefined : "no"}>{line.by === "patient" && line.text === "" ? text.admin.scripts.silence : line.text}</span>
              </li>
            ))}
          </ol>
          <Form onFinish={() => say(typed.trim())}>
            <Space.Compact style={{ width: "100%" }}>
              <Input
                aria-label={text.admin.scripts.reply}
                placeholder={text.admin.scripts.replyHelp}
                value={typed}
                onChange={({ target }) => setTyped(target.value)}
                disabled={told?.over ?? false}
                autoComplete="off"
              />
              <Button htmlType="submit" type="primary" disabled={told?.over ?? false}>
                {text.admin.scripts.send}
              </Button>
            </Space.Compact>
          </Form>
        </div>
        {told && (
          <section className="panel" aria-label={text.admin.scripts.outcome}>
            <h2>{text.admin.scripts.outcome}</h2>
            <p>
              <Tag color={told.over ? "green" : "blue"}>{told.over ? word(text.disposition, told.disposition) : text.admin.scripts.goesOn}</Tag> {span(1000 * told.seconds)}
            </p>
            <p>
              {text.admin.scripts.identified}: {told.identified ? text.admin.yes : text.admin.no} · {text.admin.scripts.screened}:{" "}
              {told.screened ? text.admin.yes : text.admin.no}
            </p>
            <h2>{text.admin.scripts.findings}</h2>
            {told.findings.length === 0 && <p className="quiet">{text.none}</p>}
            {told.findings.map((finding, at) => (
              <p key={at}>
                <Tag color={finding.urgency === "emergent" ? "red" : finding.urgency === "urgent" ? "orange" : "blue"}>{word(text.urgency, finding.urgency)}</Tag>
                {concept(finding.concept)} · {word(text.polarity, finding.polarity)} · <span translate="no">{finding.node}</span>
              </p>
            ))}
            <h2>{text.order.title}</h2>
            {told.order ? (
              <p data-order={told.order.urgency}>
                <strong>{word(text.urgency, told.order.urgency)}</strong>: {told.order.causes.map((cause) => word(text.cause, cause)).join(", ")}
              </p>
            ) : (
              <p className="quiet">{text.none}</p>
            )}
          </section>
        )}
      </div>
    </>
  );
}
