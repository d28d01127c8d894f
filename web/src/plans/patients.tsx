// Find a patient by name or number; what is said of her stands in no address.
import { Alert, Button, Card, Descriptions, Empty, Form, Input, List, Spin, Tag } from "antd";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { Link, useParams, Route, Routes } from "react-router";
import { api, body } from "../api/client";
import type { components } from "../api/schema";
import { Failure } from "../frame/problems";
import { useLanguage, word } from "../text";
import { useTimes } from "../text/times";

type StepWhy = components["schemas"]["StepWhyView"];
type Decision = components["schemas"]["DecisionView"];

const COLOUR: Record<string, string> = { planned: "blue", calling: "green", done: "green", unreached: "orange", blocked: "red", lapsed: "default" };

export default function Patients() {
  return (
    <Routes>
      <Route path=":id?" element={<Find />} />
    </Routes>
  );
}

function Find() {
  const { text } = useLanguage();
  const { id } = useParams();
  const [asked, setAsked] = useState("");
  const found = useQuery({
    queryKey: ["patients", "found", asked],
    queryFn: () => body(api.POST("/api/v1/patients/find", { body: { text: asked } })),
    enabled: asked !== "",
  });
  return (
    <div className="two">
      <div>
        <Form layout="inline" className="row" onFinish={({ text: words }: { text?: string }) => setAsked((words ?? "").trim())}>
          <Form.Item name="text">
            <Input.Search enterButton={text.admin.plans.find} aria-label={text.admin.plans.findBy} placeholder={text.admin.plans.findBy} onSearch={(words) => setAsked(words.trim())} />
          </Form.Item>
        </Form>
        {found.error && <Failure error={found.error} />}
        {found.isLoading && <Spin />}
        {found.data && (
          <List
            bordered
            size="small"
            dataSource={found.data.items}
            locale={{ emptyText: <Empty description={text.admin.plans.nobody} /> }}
            renderItem={(patient) => (
              <List.Item>
                <Link to={`/plans/patients/${patient.id}`} aria-current={patient.id === id ? "true" : undefined}>
                  <span translate="no">
                    {patient.name} · {patient.number}
                  </span>
                </Link>
                <span className="quiet" translate="no">
                  {patient.birth_date} · {patient.wards.join(", ")}
                </span>
              </List.Item>
            )}
          />
        )}
      </div>
      {id ? <Patient key={id} id={id} /> : <Empty description={text.admin.plans.pick} />}
    </div>
  );
}

function Patient({ id }: { id: string }) {
  const { text, lang } = useLanguage();
  const times = useTimes();
  const path = { params: { path: { id } } };
  const patient = useQuery({ queryKey: ["patient", id], queryFn: () => body(api.GET("/api/v1/patients/{id}", path)) });
  const plans = useQuery({ queryKey: ["plans", id], queryFn: () => body(api.GET("/api/v1/patients/{id}/plans", path)) });
  const why = useQuery({
    queryKey: ["why", id, lang],
    queryFn: () => body(api.GET("/api/v1/patients/{id}/why", { params: { path: { id }, query: { lang } } })),
  });
  const error = patient.error ?? plans.error ?? why.error;
  if (error) return <Failure error={error} />;
  if (!patient.data || !plans.data) return <Spin />;
  const { name, number, birth_date, phone, consent, life } = patient.data;
  const of = (step: string) => why.data?.steps.find((one) => one.step === step);
  return (
    <section aria-label={text.admin.plans.patient}>
      <Descriptions size="small" bordered column={3} style={{ marginBottom: 12, background: "#fff" }}>
        <Descriptions.Item label={text.admin.plans.patient}>
          <span translate="no">
            {name} · {number}
          </span>
        </Descriptions.Item>
        <Descriptions.Item label={text.admin.plans.born}>{times.date(birth_date)}</Descriptions.Item>
        <Descriptions.Item label={text.admin.plans.phone}>{phone ?? text.none}</Descriptions.Item>
        <Descriptions.Item label={text.admin.plans.consent}>{word(text.admin.consent, consent.basis)}</Descriptions.Item>
        <Descriptions.Item label={text.admin.plans.life} span={2}>
          {word(text.admin.life, life)}
        </Descriptions.Item>
      </Descriptions>
      {plans.data.items.map((plan) => (
        <Card
          key={plan.episode}
          size="small"
          style={{ marginBottom: 12 }}
          title={
            <>
              {word(text.script, plan.pathway)} · {text.ward} <span translate="no">{plan.ward}</span> · {text.order.discharged}{" "}
              {times.date(plan.discharged_at)} {plan.high_risk && <Tag color="red">{text.order.highRisk}</Tag>}
            </>
          }
          extra={word(text.admin.stay, plan.state)}
        >
          {plan.steps.map((step) => (
            <div key={step.id} style={{ marginBottom: 8 }} data-step={step.day}>
              <strong>{text.day(step.day)}</strong> · {times.date(step.due_on)}{" "}
              <Tag color={COLOUR[step.state] ?? "default"}>{word(text.admin.step, step.state)}</Tag>
              <Why why={of(step.id)} />
            </div>
          ))}
        </Card>
      ))}
      {plans.data.items.length === 0 && <Alert type="info" title={text.admin.plans.noStay} />}
    </section>
  );
}

/** Every decision about a step in the engine's own words, and the one that would be made now. */
function Why({ why }: { why: StepWhy | undefined }) {
  const { text } = useLanguage();
  const [all, setAll] = useState(false);
  if (!why) return null;
  const decisions = all ? why.decisions : why.decisions.slice(-3);
  return (
    <>
      {why.decisions.length > 3 && !all && (
        <Button type="link" size="small" onClick={() => setAll(true)}>
          {text.admin.plans.earlier(why.decisions.length - 3)}
        </Button>
      )}
      <ul className="why">
        {decisions.map((decision, at) => (
          <Decided key={at} decision={decision} />
        ))}
        {why.now && <Decided decision={why.now} />}
      </ul>
    </>
  );
}

function Decided({ decision }: { decision: Decision }) {
  const { text } = useLanguage();
  const { moment } = useTimes();
  return (
    <li className={decision.at ? undefined : "now"}>
      <span>{decision.at ? moment(decision.at) : text.admin.plans.now}</span>
      <span>{word(text.admin.answer, decision.answer)}</span>
      <span>
        {decision.words}
        {decision.until && <span className="quiet"> · {text.admin.plans.again(moment(decision.until))}</span>}
      </span>
    </li>
  );
}
