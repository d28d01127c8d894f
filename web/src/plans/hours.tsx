// Calling hours on a week grid, the law beneath; how many people each hour reaches; closing those that reach too few.
import { Alert, App, Button, Card, Segmented, Space, Spin, Table, Tooltip } from "antd";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useMemo, useState } from "react";
import { api, body } from "../api/client";
import { may, useMe } from "../api/session";
import type { components } from "../api/schema";
import { AGES } from "../dashboard/figures";
import { Chart, type ChartOption } from "../dashboard/chart";
import { Failure, useTell } from "../frame/problems";
import { EditHours } from "./edit_hours";
import { DAYS, minutes } from "./week";
import { useText, type Texts } from "../text";
import { useTimes } from "../text/times";

type Hours = components["schemas"]["CallingHours"];
type Layer = components["schemas"]["LayerView"];
type Reach = components["schemas"]["ReachView"];
type Proposal = components["schemas"]["ProposalView"];

const HOURS = Array.from({ length: 24 }, (_, hour) => hour);
const LOOK_BACK = 90;

export default function CallingHours() {
  const hours = useQuery({ queryKey: ["calling_hours"], queryFn: () => body(api.GET("/api/v1/calling-hours")) });
  const reach = useQuery({
    queryKey: ["reach"],
    queryFn: () => body(api.GET("/api/v1/calling-hours/reach", { params: { query: { days: LOOK_BACK } } })),
  });
  const [ages, setAges] = useState<string | null>(null);
  const error = hours.error ?? reach.error;
  if (error) return <Failure error={error} />;
  if (!hours.data || !reach.data) return <Spin />;
  const most = [...reach.data.bands].sort((one, other) => other.rate.tries - one.rate.tries)[0]?.ages;
  const shown = ages ?? most ?? "65-79";
  return (
    <Space direction="vertical" size="middle" style={{ width: "100%" }}>
      <ReachMap reach={reach.data} ages={shown} pick={setAges} />
      <Proposals reach={reach.data} />
      <Week hours={hours.data} reach={reach.data} ages={shown} />
    </Space>
  );
}

function rate(text: Texts, { rate, low, high, tries }: components["schemas"]["RateView"]) {
  return `${text.percent(rate)} (${text.interval(low, high)}, n = ${tries})`;
}

function useChanges() {
  const queries = useQueryClient();
  const { failed, done } = useTell();
  const text = useText();
  const settle = (words: string) => ({
    onSuccess: () => {
      done(words);
      void queries.invalidateQueries({ queryKey: ["reach"] });
    },
    onError: failed,
  });
  const close = useMutation({
    mutationFn: (hour: string) => body(api.POST("/api/v1/calling-hours/close", { body: { hour, days: LOOK_BACK } })),
    ...settle(text.admin.hours.closed),
  });
  const open = useMutation({
    mutationFn: (hour: string) => body(api.POST("/api/v1/calling-hours/open", { body: { hour } })),
    ...settle(text.admin.hours.opened),
  });
  return { close, open };
}

function ReachMap({ reach, ages, pick }: { reach: Reach; ages: string; pick(ages: string): void }) {
  const text = useText();
  const cells = useMemo(() => reach.cells.filter((cell) => cell.ages === ages), [reach, ages]);
  const band = reach.bands.find((one) => one.ages === ages);
  const option = useMemo<ChartOption>(() => {
    const hours = HOURS.filter((hour) => hour >= 7 && hour <= 21);
    return {
      grid: { left: 64, right: 24, top: 8, bottom: 56 },
      tooltip: {
        formatter: ({ data }: { data: [number, number, number, number, number, number] }) => {
          const [hour, day, value, low, high, tries] = data;
          return `${text.admin.weekday[6 - day]} ${hours[hour]}:00 · ${value} % (${low}–${high}) · n = ${tries}`;
        },
      },
      xAxis: { type: "category", data: hours.map((hour) => `${hour}:00`), splitArea: { show: true } },
      yAxis: { type: "category", data: [...DAYS].reverse().map((day) => text.admin.weekday[day]), splitArea: { show: true } },
      visualMap: { dimension: 2, min: 0, max: 100, calculable: false, orient: "horizontal", left: "center", bottom: 0, text: ["100 %", "0 %"], inRange: { color: ["#a8071a", "#ffd591", "#237804"] } },
      series: [
        {
          type: "heatmap",
          data: cells
            .filter((cell) => hours.includes(cell.hour))
            .map((cell) => [hours.indexOf(cell.hour), 6 - cell.weekday, Math.round(100 * cell.rate.rate), Math.round(100 * cell.rate.low), Math.round(100 * cell.rate.high), cell.rate.tries]),
          label: { show: true, formatter: ({ data }: { data: number[] }) => String(data[2]), color: "#fff", textBorderColor: "#000", textBorderWidth: 2 },
        },
      ],
    };
  }, [cells, text]);
  return (
    <Card
      size="small"
      title={text.admin.hours.reach}
      extra={<Segmented value={ages} onChange={pick} options={AGES} aria-label={text.admin.by.age_band} />}
    >
      {reach.alarm && <Alert type="warning" showIcon title={text.admin.hours.alarm(rate(text, reach.all))} style={{ marginBottom: 8 }} />}
      <p className="quiet">
        {text.admin.hours.reachHelp(reach.days)} {band ? text.admin.hours.band(ages, rate(text, band.rate)) : text.admin.hours.noCalls(ages)}
      </p>
      {cells.length > 0 && <Chart option={option} label={text.admin.hours.reach} height={300} />}
    </Card>
  );
}

function Proposals({ reach }: { reach: Reach }) {
  const text = useText();
  const { modal } = App.useApp();
  const { close } = useChanges();
  const when = ({ weekday, hour }: { weekday: number; hour: number }) => `${text.admin.weekday[weekday]} ${hour}:00–${hour + 1}:00`;
  const accept = (proposal: Proposal) =>
    void modal.confirm({
      title: text.admin.hours.closeSure(proposal.ages, when(proposal)),
      content: text.admin.hours.closeHelp,
      okText: text.admin.hours.accept,
      cancelText: text.cancel,
      onOk: () => close.mutateAsync(proposal.id).catch(() => undefined),
    });
  return (
    <Card size="small" title={text.admin.hours.proposals}>
      <Table
        size="small"
        rowKey="id"
        dataSource={reach.proposals}
        pagination={false}
        locale={{ emptyText: text.admin.hours.noProposal }}
        columns={[
          { title: text.admin.by.age_band, dataIndex: "ages" },
          { title: text.admin.hours.hour, key: "hour", render: (_, proposal) => when(proposal) },
          { title: text.admin.hours.thenReached, key: "rate", render: (_, proposal) => rate(text, proposal.rate) },
          { title: text.admin.hours.atAll, key: "today", render: (_, proposal) => rate(text, proposal.today) },
          {
            title: text.admin.hours.effect,
            key: "effect",
            render: (_, { effect }) => text.admin.hours.people(effect.expected - effect.reached, effect.low - effect.reached, effect.high - effect.reached),
          },
          {
            title: text.admin.plans.action,
            key: "close",
            render: (_, proposal) => (
              <Button size="small" type="primary" onClick={() => accept(proposal)}>
                {text.admin.hours.accept}
              </Button>
            ),
          },
        ]}
      />
    </Card>
  );
}

/** Whether a layer is open for a whole hour of a day, part of it, or not. */
function isOpen(layer: Layer, day: number, hour: number): boolean {
  return (layer.week[day] ?? []).some(({ from, to }) => minutes(from) < 60 * (hour + 1) && minutes(to) > 60 * hour);
}

function Week({ hours, reach, ages }: { hours: Hours; reach: Reach; ages: string }) {
  const text = useText();
  const { moment } = useTimes();
  const { modal } = App.useApp();
  const me = useMe();
  const { open } = useChanges();
  const law = hours.layers.find((layer) => layer.layer === "law");
  const others = hours.layers.filter((layer) => layer.layer === "hospital" || layer.layer === "trunk");
  const hospital = others.find((layer) => layer.layer === "hospital");
  const [editing, setEditing] = useState(false);
  const learnt = reach.closed.filter((closed) => closed.ages === ages);
  const reopen = (id: string, when: string) =>
    void modal.confirm({
      title: text.admin.hours.openSure(ages, when),
      okText: text.admin.hours.open,
      cancelText: text.cancel,
      onOk: () => open.mutateAsync(id).catch(() => undefined),
    });
  const cell = (day: number, hour: number) => {
    const when = `${text.admin.weekday[day]} ${hour}:00–${hour + 1}:00`;
    const closed = learnt.find((one) => one.weekday === day && one.hour === hour);
    if (law && !isOpen(law, day, hour)) return <td key={hour} className="against" title={`${when}: ${text.admin.hours.law}`} />;
    const shut = others.find((layer) => !isOpen(layer, day, hour));
    if (shut) return <td key={hour} className="shut" title={`${when}: ${shut.layer === "trunk" ? text.admin.hours.trunk : text.admin.hours.hospital}`} />;
    if (!closed) return <td key={hour} className="open" title={`${when}: ${text.admin.hours.isOpen}`} />;
    return (
      <td key={hour} className="learnt">
        <Tooltip title={text.admin.hours.closedBy(closed.by, moment(closed.at))}>
          <button type="button" aria-label={text.admin.hours.openSure(ages, when)} onClick={() => reopen(closed.id, when)}>
            ✕
          </button>
        </Tooltip>
      </td>
    );
  };
  return (
    <Card
      size="small"
      title={text.admin.hours.week(ages)}
      extra={
        may(me, "plans") && (
          <Button size="small" onClick={() => setEditing(true)}>
            {text.admin.hours.edit}
          </Button>
        )
      }
    >
      {editing && <EditHours hours={hours} onClose={() => setEditing(false)} />}
      <table className="week" aria-label={text.admin.hours.week(ages)}>
        <thead>
          <tr>
            <td />
            {HOURS.map((hour) => (
              <th key={hour} scope="col">
                {hour}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {DAYS.map((day) => (
            <tr key={day}>
              <th scope="row">{text.admin.weekday[day]}</th>
              {HOURS.map((hour) => cell(day, hour))}
            </tr>
          ))}
        </tbody>
      </table>
      <p>
        {(["open", "learnt", "shut", "against"] as const).map((kind) => (
          <span key={kind} className="key">
            <i className={`week-${kind}`} style={{ background: COLOURS[kind] }} /> {text.admin.hours.key[kind]}
          </span>
        ))}
      </p>
      <p className="quiet">
        {hospital?.set ? text.admin.hours.setBy(hospital.set.by, moment(hospital.set.at)) : text.admin.hours.configured} {text.admin.hours.lawHolds}
      </p>
      <Departments hours={hours} />
    </Card>
  );
}

const COLOURS = {
  open: "#b7eb8f",
  learnt: "repeating-linear-gradient(45deg, #ffd591 0 4px, #b7eb8f 4px 8px)",
  shut: "#d9d9d9",
  against: "#434343",
};

function Departments({ hours }: { hours: Hours }) {
  const text = useText();
  const departments = hours.layers.filter((layer) => layer.layer === "department");
  if (departments.length === 0) return null;
  const day = (layer: Layer, at: number) => (layer.week[at] ?? []).map(({ from, to }) => `${from.slice(0, 5)}–${to.slice(0, 5)}`).join(", ") || "–";
  return (
    <Table
      size="small"
      rowKey="name"
      pagination={false}
      dataSource={departments}
      columns={[
        { title: text.admin.hours.department, dataIndex: "name", render: (name: string) => <span translate="no">{name}</span> },
        ...DAYS.map((at) => ({ title: text.admin.weekday[at], key: at, render: (_: unknown, layer: Layer) => day(layer, at) })),
      ]}
    />
  );
}
