// The nurse's list: what is open, the most urgent first, and one order opened beside it.
import { Button, Checkbox, Empty, Select, Space, Spin, Tag } from "antd";
import { useEffect, useMemo, useRef, useState } from "react";
import { Link, useMatch, useNavigate } from "react-router";
import { chime } from "../audio/recording";
import type { WorkOrder } from "../api/client";
import { useNow } from "../api/events";
import { useConcepts, useSite } from "../api/site";
import { KeyHelp } from "../frame/key_help";
import { useKeys } from "../frame/keys";
import { Failure } from "../frame/problems";
import { span, useText } from "../text";
import { OrderCard } from "./card";
import { Deadline } from "./deadline";
import { NO_FILTERS, orderWords, useOpenEmergencies, useOrders, type Filters, type Urgency } from "./orders";

/** Dark enough for white letters (WCAG 2.2 §1.4.3). */
export const COLOUR: Record<Urgency, string> = { emergent: "#cf1322", urgent: "#ad4e00", same_day: "#0958d9", routine: "#595959" };

export default function Worklist() {
  const text = useText();
  const navigate = useNavigate();
  const opened = useMatch("/worklist/:id")?.params.id;
  const [filters, setFilters] = useState<Filters>(NO_FILTERS);
  const found = useOrders(filters);
  const [sounds, setSounds] = useState(true);
  const [help, setHelp] = useState(false);
  const list = useRef<HTMLOListElement>(null);

  const orders = useMemo(() => found.data?.pages.flatMap((page) => page.items) ?? [], [found.data]);
  const isNarrowed = Object.values(filters).some(Boolean);
  useEmergencies(sounds);

  /** The list's focus is the browser's, so that Enter opens what it is on. */
  const move = (by: number) => {
    const rows = [...(list.current?.querySelectorAll("a") ?? [])];
    const at = rows.findIndex((row) => row === document.activeElement);
    const from = at >= 0 ? at : rows.findIndex((row) => row.getAttribute("aria-current") === "true");
    const to = from < 0 ? 0 : Math.min(Math.max(from + by, 0), rows.length - 1);
    rows[to]?.focus();
  };
  useKeys({
    j: () => move(1),
    k: () => move(-1),
    ArrowDown: () => move(1),
    ArrowUp: () => move(-1),
    "?": () => setHelp(true),
    Escape: () => void navigate("/worklist"),
  });

  return (
    <div className="worklist">
      <div className="orders">
        <div className="tools">
          <h1>
            {text.worklist.title} <span className="quiet figure">
              {orders.length}
              {found.hasNextPage && "+"}
            </span>{" "}
            <Button size="small" onClick={() => setHelp(true)}>
              {text.frame.keys} <kbd>?</kbd>
            </Button>
          </h1>
          <FilterBar filters={filters} change={setFilters} />
          <Checkbox checked={sounds} onChange={(event) => setSounds(event.target.checked)} style={{ marginTop: 6 }}>
            {text.worklist.sound}
          </Checkbox>
        </div>
        {found.error && <Failure error={found.error} again={() => void found.refetch()} />}
        {found.isPending && <Spin style={{ marginTop: 40 }} />}
        {found.data && orders.length === 0 && (
          <Empty description={isNarrowed ? text.worklist.filtered : text.worklist.empty} style={{ marginTop: 40 }} />
        )}
        <ol ref={list} aria-label={text.worklist.title}>
          {orders.map((order) => (
            <Row key={order.id} order={order} current={order.id === opened} />
          ))}
          {found.hasNextPage && (
            <li style={{ padding: 12 }}>
              <Button block loading={found.isFetchingNextPage} onClick={() => void found.fetchNextPage()}>
                {text.more}
              </Button>
            </li>
          )}
        </ol>
      </div>
      {opened ? (
        <OrderCard key={opened} id={opened} />
      ) : (
        <div className="card">
          <Empty image={Empty.PRESENTED_IMAGE_SIMPLE} description={text.worklist.pick} style={{ marginTop: 120 }} />
        </div>
      )}
      <KeyHelp open={help} close={() => setHelp(false)} />
    </div>
  );
}

/** Counts open emergencies in the title, and sounds when one is new. */
function useEmergencies(sounds: boolean) {
  const text = useText();
  const open = useOpenEmergencies();
  const known = useRef<Set<string> | null>(null);
  useEffect(() => {
    if (!open) return;
    document.title = `${open.length > 0 ? text.worklist.emergencies(open.length) : ""}${text.pages.worklist} · ${text.product}`;
    if (known.current && sounds && open.some((id) => !known.current?.has(id))) chime();
    known.current = new Set(open);
  }, [open, sounds, text]);
  useEffect(() => () => void (document.title = text.product), [text]);
}

function Row({ order, current }: { order: WorkOrder; current: boolean }) {
  const text = useText();
  const concept = useConcepts();
  const now = useNow();
  const urgency = order.urgency as Urgency;
  return (
    <li>
      <Link to={`/worklist/${order.id}`} className={urgency} aria-current={current}>
        <div className="row">
          <Tag color={COLOUR[urgency]} variant="solid">
            {text.urgency[urgency]}
          </Tag>
          <strong className="grow cut">{orderWords(order, text, concept)}</strong>
          {order.state === "open" && <Deadline dueAt={order.due_at} />}
        </div>
        <div className="row quiet">
          <span className="grow cut">
            {order.ward && (
              <>
                {text.ward} <span translate="no">{order.ward}</span>
              </>
            )}
            {order.level > 0 && ` · ${text.worklist.level(order.level)}`}
            {(order.owner ?? order.acknowledged_by) && (
              <>
                {" "}
                · <span translate="no">{order.acknowledged_by ? text.worklist.takenBy(order.acknowledged_by) : text.order.owner(order.owner ?? "")}</span>
              </>
            )}
          </span>
          <span className="figure">{text.ago(span(now - Date.parse(order.raised_at)))}</span>
        </div>
      </Link>
    </li>
  );
}

function FilterBar({ filters, change }: { filters: Filters; change: (filters: Filters) => void }) {
  const text = useText();
  const wards = useSite()?.wards ?? [];
  const entries = <K extends string>(words: Record<K, string>, keys: K[]) => keys.map((value) => ({ value, label: words[value] }));
  const any = (label: string) => [{ value: "", label }];
  return (
    <Space size={6} wrap role="group" aria-label={text.worklist.filters}>
      <Select
        aria-label={text.worklist.anyUrgency}
        value={filters.urgency ?? ""}
        options={[...any(text.worklist.anyUrgency), ...entries(text.urgency, ["emergent", "urgent", "same_day", "routine"])]}
        onChange={(value: string) => change({ ...filters, urgency: (value || null) as Filters["urgency"] })}
      />
      <Select
        aria-label={text.worklist.anyState}
        value={filters.state ?? ""}
        options={[...any(text.worklist.anyState), ...entries(text.orderState, ["open", "acknowledged"])]}
        onChange={(value: string) => change({ ...filters, state: (value || null) as Filters["state"] })}
      />
      <Select
        aria-label={text.worklist.anyWard}
        value={filters.ward ?? ""}
        options={[...any(text.worklist.anyWard), ...wards.map((ward) => ({ value: ward, label: <span translate="no">{ward}</span> }))]}
        onChange={(value: string) => change({ ...filters, ward: value || null })}
      />
      <Checkbox checked={filters.mine} onChange={(event) => change({ ...filters, mine: event.target.checked })}>
        {text.worklist.mine}
      </Checkbox>
    </Space>
  );
}
