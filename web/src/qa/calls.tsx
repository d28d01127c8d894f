// Every call that was made, newest first, narrowed by the server.
import { useInfiniteQuery } from "@tanstack/react-query";
import { Checkbox, DatePicker, Input, Select, Tag } from "antd";
import { useState } from "react";
import { Link } from "react-router";
import { api, body, type CallLine, type CallSearch } from "../api/client";
import { useConcepts, useSite } from "../api/site";
import { Listed } from "../frame/listed";
import { useLanguage, useText, word } from "../text";
import { useTimes } from "../text/times";
import { clock } from "./transcript";

/** What a filter says when it narrows nothing. */
const ANY = "";

export function CallList() {
  const text = useText();
  const [search, setSearch] = useState<CallSearch>({ answered: true });
  const found = useInfiniteQuery({
    queryKey: ["attempts", "search", search],
    queryFn: ({ pageParam }) => body(api.POST("/api/v1/calls/search", { body: { ...search, ...(pageParam ? { cursor: pageParam } : {}) } })),
    initialPageParam: "",
    getNextPageParam: (page) => page.next_cursor,
  });
  return (
    <>
      <Filters search={search} change={(by) => setSearch({ ...search, ...by })} />
      <Listed
        found={found}
        empty={text.qa.none}
        columns={[text.qa.began, text.ward, text.qa.script, text.qa.ended, text.qa.answeredBy, text.qa.talk, text.qa.found, text.qa.reviewed]}
        row={(line) => <Line key={line.attempt.id} line={line} />}
      />
    </>
  );
}

function Filters({ search, change }: { search: CallSearch; change: (by: Partial<CallSearch>) => void }) {
  const { text, lang } = useLanguage();
  const concepts = useSite()?.concepts ?? [];
  const among = (any: string, words: Record<string, string>) => [
    { value: ANY, label: any },
    ...Object.entries(words).map(([value, label]) => ({ value, label })),
  ];
  const choose = (member: keyof CallSearch, any: string, words: Record<string, string>, width: number) => (
    <Select
      aria-label={any}
      value={(search[member] as string | null | undefined) ?? ANY}
      options={among(any, words)}
      showSearch={{ optionFilterProp: "label" }}
      style={{ width }}
      onChange={(value: string) => change({ [member]: value || null })}
    />
  );
  return (
    <search className="tools" aria-label={text.worklist.filters}>
      <Input.Search
        aria-label={text.qa.patient}
        placeholder={text.qa.patient}
        allowClear
        autoComplete="off"
        style={{ width: 240 }}
        onSearch={(patient) => change({ patient: patient.trim() || null })}
      />
      <DatePicker
        aria-label={text.qa.from}
        placeholder={text.qa.from}
        style={{ width: 130 }}
        onChange={(day) => change({ since: day?.startOf("day").toISOString() ?? null })}
      />
      <DatePicker
        aria-label={text.qa.to}
        placeholder={text.qa.to}
        style={{ width: 130 }}
        onChange={(day) => change({ until: day?.add(1, "day").startOf("day").toISOString() ?? null })}
      />
      <Input
        aria-label={text.worklist.anyWard}
        placeholder={text.worklist.anyWard}
        allowClear
        style={{ width: 110 }}
        onChange={(event) => change({ ward: event.target.value.trim() || null })}
      />
      {choose("script", text.qa.anyScript, text.script, 130)}
      {choose("disposition", text.qa.anyEnd, text.disposition, 150)}
      {choose("concept", text.qa.anyFinding, Object.fromEntries(concepts.map((one) => [one.id, one[lang]])), 200)}
      {choose("reviews", text.qa.anyReview, text.qa.reviewState, 180)}
      <Checkbox checked={search.answered ?? false} onChange={(event) => change({ answered: event.target.checked })}>
        {text.qa.answered}
      </Checkbox>
    </search>
  );
}

function Line({ line: { attempt, ward, found, reviews, mine } }: { line: CallLine }) {
  const text = useText();
  const times = useTimes();
  const concept = useConcepts();
  return (
    <tr>
      <td className="figure">
        <Link to={`/qa/call/${attempt.id}`}>{times.moment(attempt.started_at)}</Link>
      </td>
      <td translate="no">{ward}</td>
      <td>
        {word(text.script, attempt.script)} · {text.day(attempt.day)}
      </td>
      <td>{attempt.ending ? word(text.disposition, attempt.ending.disposition) : word(text.callState, attempt.state)}</td>
      <td>{word(text.answeredBy, attempt.ending?.answered_by)}</td>
      <td className="figure">{attempt.ending ? clock(attempt.ending.talk_ms) : ""}</td>
      <td>
        {found.map((id) => (
          <Tag key={id} color="red">
            {concept(id)}
          </Tag>
        ))}
      </td>
      <td>
        {reviews > 0 && text.qa.times(reviews)} {mine && <Tag color="green">{text.qa.byMe}</Tag>}
      </td>
    </tr>
  );
}
