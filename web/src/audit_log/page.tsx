// The auditor's page: who did what to which record, the newest first, and whether the log's chain holds.
import { useInfiniteQuery, useMutation } from "@tanstack/react-query";
import { Alert, Button, Input, Select } from "antd";
import { useState } from "react";
import { api, body } from "../api/client";
import { Listed } from "../frame/listed";
import { useTell } from "../frame/problems";
import { useText, word } from "../text";
import { useTimes } from "../text/times";
import "../qa/qa.css";

interface Filter {
  what?: string;
  who?: string;
  subject?: string;
}

export default function AuditLog() {
  const text = useText();
  const times = useTimes();
  const [filter, setFilter] = useState<Filter>({});
  const found = useInfiniteQuery({
    queryKey: ["audit_log", filter],
    queryFn: ({ pageParam }) =>
      body(api.GET("/api/v1/audit/log", { params: { query: { ...filter, newest: true, ...(pageParam ? { cursor: pageParam } : {}) } } })),
    initialPageParam: "",
    getNextPageParam: (page) => page.next_cursor,
  });
  const narrow = (member: keyof Filter, value: string) => {
    const { [member]: _, ...rest } = filter;
    setFilter(value.trim() ? { ...rest, [member]: value.trim() } : rest);
  };
  return (
    <div className="qa">
      <search className="tools" aria-label={text.worklist.filters}>
        <Select
          aria-label={text.audit.anything}
          value={filter.what ?? ""}
          style={{ width: 260 }}
          showSearch={{ optionFilterProp: "label" }}
          options={[{ value: "", label: text.audit.anything }, ...Object.entries(text.audit.what).map(([value, label]) => ({ value, label }))]}
          onChange={(value: string) => narrow("what", value)}
        />
        <Input.Search aria-label={text.audit.who} placeholder={text.audit.who} allowClear style={{ width: 220 }} onSearch={(value) => narrow("who", value)} />
        <Input.Search
          aria-label={text.audit.record}
          placeholder={text.audit.record}
          allowClear
          style={{ width: 380 }}
          onSearch={(value) => narrow("subject", value)}
        />
        <Chain />
      </search>
      <Listed
        found={found}
        empty={text.audit.none}
        columns={[text.audit.number, text.audit.at, text.audit.who, text.audit.did, text.audit.record, text.audit.reason]}
        row={(entry) => (
          <tr key={entry.seq} data-what={entry.what}>
            <td className="figure">{entry.seq}</td>
            <td className="figure">
              {times.date(entry.at)} {times.time(entry.at)}
            </td>
            <td translate="no">{entry.who}</td>
            <td {...(entry.what in text.audit.what ? {} : { translate: "no" })}>{word(text.audit.what, entry.what)}</td>
            <td translate="no" className="figure">
              {[entry.subject, entry.detail].filter(Boolean).join(" · ")}
            </td>
            <td translate="no">{entry.reason}</td>
          </tr>
        )}
      />
    </div>
  );
}

function Chain() {
  const text = useText();
  const tell = useTell();
  const checking = useMutation({ mutationFn: () => body(api.GET("/api/v1/audit/chain")), onError: tell.failed });
  return (
    <>
      <Button loading={checking.isPending} onClick={() => checking.mutate()}>
        {text.audit.check}
      </Button>
      {checking.data?.intact && <Alert type="success" showIcon title={text.audit.intact(checking.data.seq)} />}
      {checking.data && !checking.data.intact && (
        <Alert type="error" showIcon title={text.audit.broken} description={<span translate="no">{checking.data.fault}</span>} />
      )}
    </>
  );
}
