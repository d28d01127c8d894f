// The figures of a follow-up programme: every value with what it rests on and its definition, by day, ward, script or age.
import { WarningOutlined } from "@ant-design/icons";
import { Button, Card, DatePicker, Drawer, Popover, Select, Space, Spin, Table, Tag } from "antd";
import dayjs, { type Dayjs } from "dayjs";
import { useMemo, useState } from "react";
import { proofHeaders } from "../api/client";
import { may, useMe } from "../api/session";
import { useConcepts, useSite } from "../api/site";
import { Failure, useTell } from "../frame/problems";
import { useLanguage, word, type Texts } from "../text";
import { useTimes } from "../text/times";
import { Chart, type ChartOption } from "./chart";
import { AGES, BEHIND, BY, useCallsBehind, usePeriod, written, type Asked, type By, type FigureNote, type Only, type PeriodFigures } from "./figures";
import "./dashboard.css";

const DAY = "YYYY-MM-DD";

export default function Dashboard() {
  const { text, lang } = useLanguage();
  const site = useSite();
  const [asked, setAsked] = useState<Asked>({ by: "day" });
  const [drawn, setDrawn] = useState("reach");
  const [behind, setBehind] = useState<{ name: string; only: Only | null; asked: Asked } | null>(null);
  const me = useMe();
  const { failed } = useTell();
  const found = usePeriod(asked);
  const period = found.data;
  if (found.error) return <Failure error={found.error} again={() => void found.refetch()} />;
  if (!period) return <Spin style={{ display: "block", marginTop: 80 }} />;
  const note = (id: string) => period.catalogue.find((one) => one.id === id)!;
  const drill = (id: string, name: string, at: Asked) => setBehind({ name, only: BEHIND[id] ?? null, asked: at });
  return (
    <div className="page dashboard">
      <div className="tools">
        <h1>{text.admin.dashboard.title}</h1>
        <Filters asked={asked} period={period} change={setAsked} />
        <span className="space" />
        <Button onClick={() => void download(asked, lang).catch(failed)}>{text.admin.dashboard.sheet}</Button>
        <Button onClick={() => window.print()}>{text.admin.dashboard.print}</Button>
      </div>
      <p className="printed">
        <span translate="no">{site && (lang === "zh" ? site.name_zh : site.name_en)}</span> · {text.admin.dashboard.report} · {period.first} –{" "}
        {period.last}
        {asked.ward && <span translate="no"> · {asked.ward}</span>}
      </p>
      <section className="values" aria-label={text.admin.dashboard.figures}>
        {period.catalogue.map((one, at) => (
          <Tile
            key={one.id}
            note={one}
            value={period.all.values[at]!}
            drill={may(me, "patients") && one.id in BEHIND ? () => drill(one.id, one.name, asked) : undefined}
          />
        ))}
      </section>
      <div className="pair">
        <Card size="small" title={text.admin.dashboard.tiers}>
          <Parts
            rows={period.all.tiers.map((tier) => ({ name: word(text.urgency, tier.tier), ...tier }))}
            empty={text.none}
          />
        </Card>
        <Concepts concepts={period.all.concepts} />
      </div>
      <Card
        size="small"
        title={
          <Space wrap>
            <Select<By>
              aria-label={text.admin.dashboard.by}
              value={asked.by}
              onChange={(by) => setAsked({ ...asked, by })}
              options={BY.map((by) => ({ value: by, label: text.admin.by[by] }))}
              style={{ minWidth: 120 }}
            />
            <Select
              aria-label={text.admin.dashboard.drawn}
              value={drawn}
              onChange={setDrawn}
              options={period.catalogue.map(({ id, name }) => ({ value: id, label: name }))}
              style={{ minWidth: 220 }}
            />
          </Space>
        }
      >
        <Groups period={period} by={asked.by} note={note(drawn)} drill={(group) => drill(drawn, group.shown, within(asked, group.name))} />
      </Card>
      <Definitions catalogue={period.catalogue} />
      {behind && <Calls {...behind} close={() => setBehind(null)} />}
    </div>
  );
}

/** The question for one group of the one that was asked. */
function within(asked: Asked, name: string): Asked {
  if (asked.by === "day") return { ...asked, first: name, last: name };
  if (asked.by === "ward") return { ...asked, ward: name };
  if (asked.by === "script") return { ...asked, script: name };
  if (asked.by === "age_band") return { ...asked, ages: name };
  if (asked.by === "dialect") return { ...asked, dialect: name };
  return { ...asked, party: name };
}

async function download({ by, ...asked }: Asked, lang: string) {
  const query = new URLSearchParams({ by, lang, ...asked });
  const response = await fetch(`/api/v1/figures/sheet?${query.toString()}`, { headers: proofHeaders("GET") });
  if (!response.ok) throw new Error(String(response.status));
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await response.blob());
  link.download = /filename="([^"]+)"/.exec(response.headers.get("content-disposition") ?? "")?.[1] ?? "figures.xlsx";
  link.click();
  URL.revokeObjectURL(link.href);
}

function Filters({ asked, period, change }: { asked: Asked; period: PeriodFigures; change(asked: Asked): void }) {
  const { text } = useLanguage();
  const put = (key: "ward" | "script" | "ages", value: string | undefined) => {
    const { [key]: _, ...rest } = asked;
    change(value === undefined ? rest : { ...rest, [key]: value });
  };
  const dates = (both: [Dayjs | null, Dayjs | null] | null) => {
    const { first: _, last: __, ...rest } = asked;
    const [first, last] = both ?? [null, null];
    change(first && last ? { ...rest, first: first.format(DAY), last: last.format(DAY) } : rest);
  };
  const month = () => {
    const last = dayjs(period.last).subtract(1, "month").endOf("month");
    dates([last.startOf("month"), last]);
  };
  const named = (names: string[]) => names.map((name) => ({ value: name, label: <span translate="no">{name}</span> }));
  return (
    <Space wrap>
      <DatePicker.RangePicker
        value={[dayjs(period.first), dayjs(period.last)]}
        onChange={(both) => dates(both)}
        allowClear={false}
        aria-label={text.admin.dashboard.period}
      />
      <Button onClick={month}>{text.admin.dashboard.lastMonth}</Button>
      <Select allowClear placeholder={text.ward} aria-label={text.ward} value={asked.ward} onChange={(ward?: string) => put("ward", ward)} options={named(period.wards)} style={{ minWidth: 100 }} />
      <Select allowClear placeholder={text.admin.by.script} aria-label={text.admin.by.script} value={asked.script} onChange={(script?: string) => put("script", script)} options={period.scripts.map((id) => ({ value: id, label: word(text.script, id) }))} style={{ minWidth: 110 }} />
      <Select allowClear placeholder={text.admin.by.age_band} aria-label={text.admin.by.age_band} value={asked.ages} onChange={(ages?: string) => put("ages", ages)} options={AGES.map((ages) => ({ value: ages, label: ages }))} style={{ minWidth: 100 }} />
    </Space>
  );
}

function Tile({ note, value, drill }: { note: FigureNote; value: PeriodFigures["all"]["values"][number]; drill: (() => void) | undefined }) {
  const { text } = useLanguage();
  const rests = value.part != null ? `${value.part} / ${value.of ?? 0}` : value.of != null ? `n = ${value.of}` : "";
  return (
    <Popover content={<div style={{ maxWidth: 360 }}>{note.definition}</div>} title={note.name} trigger={["hover", "focus"]}>
      <div className="tile" tabIndex={0} data-figure={note.id}>
        <div className="name">
          {note.name} {value.alarm && <Tag color="red" icon={<WarningOutlined />}>{text.admin.dashboard.alarm}</Tag>}
        </div>
        <div className="figure">{written(note.unit, value.value, text)}</div>
        <div className="quiet">
          {rests}
          {value.low != null && value.high != null && ` · ${text.interval(value.low, value.high)}`}
        </div>
        {drill && (
          <Button size="small" type="link" className="drill" onClick={drill}>
            {text.admin.dashboard.calls}
          </Button>
        )}
      </div>
    </Popover>
  );
}

function Parts({ rows, empty }: { rows: { name: string; part: number; of: number }[]; empty: string }) {
  const { text } = useLanguage();
  if (rows.length === 0) return <span className="quiet">{empty}</span>;
  return (
    <table className="parts">
      <tbody>
        {rows.map(({ name, part, of }) => (
          <tr key={name}>
            <th scope="row">{name}</th>
            <td className="figure">{of > 0 ? text.percent(part / of) : "–"}</td>
            <td className="quiet">
              {part} / {of}
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function Concepts({ concepts }: { concepts: PeriodFigures["all"]["concepts"] }) {
  const { text } = useLanguage();
  const concept = useConcepts();
  const rows = concepts.map(({ concept: id, part, of }) => ({ name: concept(id), part, of }));
  rows.sort((one, other) => other.of - one.of);
  return (
    <Card size="small" title={text.admin.dashboard.concepts}>
      <Parts rows={rows} empty={text.admin.dashboard.noAlerts} />
    </Card>
  );
}

interface Group {
  name: string;
  shown: string;
}

function Groups({ period, by, note, drill }: { period: PeriodFigures; by: By; note: FigureNote; drill(group: Group): void }) {
  const { text } = useLanguage();
  const me = useMe();
  const groups = useMemo(
    () => period.groups.map(({ name, figures }) => ({ name, shown: shownName(by, name, text), figures })),
    [period, by, text],
  );
  const at = period.catalogue.findIndex(({ id }) => id === note.id);
  const option = useMemo<ChartOption>(() => {
    const scale = note.unit === "share" ? 100 : 1;
    const points = groups.map(({ figures }) => {
      const value = figures.values[at]?.value;
      return value == null ? null : +(scale * value).toFixed(2);
    });
    return {
      grid: { left: 48, right: 16, top: 16, bottom: 32 },
      tooltip: { trigger: "axis" },
      xAxis: { type: "category", data: groups.map(({ shown }) => shown) },
      yAxis: { type: "value", ...(note.unit === "share" ? { axisLabel: { formatter: "{value} %" } } : {}) },
      series: [{ name: note.name, type: by === "day" ? "line" : "bar", data: points, barMaxWidth: 48, itemStyle: { color: "#0958d9" } }],
    };
  }, [groups, note, at, by]);
  const isName = by === "ward" || by === "dialect";
  const columns = [
    {
      title: text.admin.by[by],
      dataIndex: "shown",
      fixed: "left" as const,
      render: (shown: string, row: Group) =>
        may(me, "patients") ? (
          <Button type="link" size="small" style={{ padding: 0 }} translate={isName ? "no" : undefined} onClick={() => drill(row)}>
            {shown}
          </Button>
        ) : (
          <span translate={isName ? "no" : undefined}>{shown}</span>
        ),
    },
    ...period.catalogue.map((one, place) => ({
      title: one.name,
      key: one.id,
      align: "right" as const,
      render: (_: unknown, row: (typeof groups)[number]) => {
        const value = row.figures.values[place];
        return <span className={value?.alarm ? "figure alarm" : "figure"}>{written(one.unit, value?.value, text)}</span>;
      },
    })),
  ];
  return (
    <>
      <p className="printed">
        {note.name} · {text.admin.by[by]}
      </p>
      <Chart option={option} label={`${note.name}, ${text.admin.by[by]}`} height={220} />
      <Table size="small" rowKey="name" columns={columns} dataSource={groups} pagination={false} scroll={{ x: 2700, y: 320 }} />
      <PrintedGroups period={period} by={by} />
    </>
  );
}

/** As many figures as a sheet of paper is wide. */
const ON_PAPER = ["coverage", "reach", "right_party", "completion", "screen_completion", "alert_rate", "ppv", "acknowledge_p90", "close_p90", "satisfaction"];

function PrintedGroups({ period, by }: { period: PeriodFigures; by: By }) {
  const { text } = useLanguage();
  const columns = period.catalogue.map((note, at) => ({ note, at })).filter(({ note }) => ON_PAPER.includes(note.id));
  return (
    <table className="printed">
      <thead>
        <tr>
          <th scope="col">{text.admin.by[by]}</th>
          {columns.map(({ note }) => (
            <th key={note.id} scope="col">
              {note.name}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {period.groups.map(({ name, figures }) => (
          <tr key={name}>
            <th scope="row" translate={by === "ward" ? "no" : undefined}>
              {shownName(by, name, text)}
            </th>
            {columns.map(({ note, at }) => (
              <td key={note.id}>{written(note.unit, figures.values[at]?.value, text)}</td>
            ))}
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function shownName(by: By, name: string, text: Texts): string {
  if (name === "") return by === "party" ? text.admin.nobodyIdentified : text.unknown;
  if (by === "party") return word(text.answeredBy, name);
  return by === "script" ? word(text.script, name) : name;
}

/** For paper, where nothing can be hovered over. */
function Definitions({ catalogue }: { catalogue: FigureNote[] }) {
  const { text } = useLanguage();
  return (
    <section className="printed">
      <h2>{text.admin.dashboard.definitions}</h2>
      <dl>
        {catalogue.map(({ id, name, definition }) => (
          <div key={id}>
            <dt>{name}</dt>
            <dd>{definition}</dd>
          </div>
        ))}
      </dl>
    </section>
  );
}

function Calls({ name, only, asked, close }: { name: string; only: Only | null; asked: Asked; close(): void }) {
  const { text } = useLanguage();
  const { moment } = useTimes();
  const me = useMe();
  const found = useCallsBehind(asked, only, true);
  const columns = [
    {
      title: text.admin.dashboard.at,
      key: "at",
      render: (_: unknown, call: { id: string; started_at: string }) =>
        may(me, "calls") ? <a href={`/qa/call/${call.id}`}>{moment(call.started_at)}</a> : moment(call.started_at),
    },
    { title: text.ward, dataIndex: "ward", render: (ward: string) => <span translate="no">{ward}</span> },
    { title: text.admin.by.script, dataIndex: "script", render: (script: string) => word(text.script, script) },
    { title: text.admin.by.age_band, dataIndex: "ages" },
    { title: text.admin.dashboard.ended, dataIndex: "disposition", render: (ended: string) => word(text.disposition, ended) },
    { title: text.admin.dashboard.alert, dataIndex: "alert", render: (alert: string | null) => word(text.urgency, alert) },
  ];
  return (
    <Drawer open onClose={close} title={`${name}${only ? ` · ${text.admin.only[only]}` : ""}`} size={760}>
      {found.error && <Failure error={found.error} />}
      <Table
        size="small"
        rowKey="id"
        loading={found.isPending}
        columns={columns}
        dataSource={found.data?.items ?? []}
        pagination={{ pageSize: 20, showSizeChanger: false }}
        footer={() => text.admin.dashboard.total(found.data?.total ?? 0)}
      />
    </Drawer>
  );
}
