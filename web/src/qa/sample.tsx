// What was drawn at random for a second look: quiet calls, and findings that were not counted.
import { useInfiniteQuery, useMutation, useQueryClient } from "@tanstack/react-query";
import { Button, Input, Radio, Select } from "antd";
import { useState } from "react";
import { Link, useNavigate } from "react-router";
import { api, body, type AuditItem, type Call, type Verdict as Word } from "../api/client";
import { useConcepts, useSite } from "../api/site";
import { Listed } from "../frame/listed";
import { useTell } from "../frame/problems";
import { useLanguage, useText } from "../text";
import { useTimes } from "../text/times";

function useOpen() {
  return useInfiniteQuery({
    queryKey: ["sample"],
    queryFn: ({ pageParam }) =>
      body(api.GET("/api/v1/audit/items", { params: { query: { state: "open", limit: 200, ...(pageParam ? { cursor: pageParam } : {}) } } })),
    initialPageParam: "",
    getNextPageParam: (page) => page.next_cursor,
  });
}

/** The call with the item beside it. */
const place = (item: AuditItem) => `/qa/call/${item.attempt}?item=${item.id}`;

export function Sample() {
  const text = useText();
  const times = useTimes();
  const concept = useConcepts();
  const found = useOpen();
  return (
    <>
      <div className="tools">
        <span className="quiet">{text.qa.sampleHelp}</span>
      </div>
      <Listed
        found={found}
        empty={text.qa.sampleEmpty}
        columns={[text.qa.drawn, text.qa.what, text.qa.share]}
        row={(item) => (
          <tr key={item.id}>
            <td className="figure">
              <Link to={place(item)}>{times.moment(item.drawn_at)}</Link>
            </td>
            <td>{item.kind === "call" ? text.qa.quietCall : text.qa.suppressedFinding(concept(item.concept))}</td>
            <td className="figure">{text.percent(item.share)}</td>
          </tr>
        )}
      />
    </>
  );
}

/** The verdict on one item, beside its call; then the next one is opened. */
export function Verdict({ id, call }: { id: string; call: Call }) {
  const { text, lang } = useLanguage();
  const tell = useTell();
  const queries = useQueryClient();
  const navigate = useNavigate();
  const concept = useConcepts();
  const concepts = useSite()?.concepts ?? [];
  const open = useOpen();
  const items = open.data?.pages.flatMap((page) => page.items) ?? [];
  const item = items.find((one) => one.id === id);
  const [verdict, setVerdict] = useState<Word | null>(null);
  const [missed, setMissed] = useState<string | null>(null);
  const [note, setNote] = useState("");
  const deciding = useMutation({
    mutationFn: (verdict: Word) =>
      body(
        api.POST("/api/v1/audit/items/{id}/verdict", {
          params: { path: { id } },
          body: { verdict, note, ...(verdict === "missed" && missed ? { concept: missed } : {}) },
        }),
      ),
    onSuccess: () => {
      tell.done(text.qa.decided);
      const next = items.find((one) => one.id !== id);
      void navigate(next ? place(next) : "/qa/sample");
    },
    onError: tell.failed,
    onSettled: () => queries.invalidateQueries({ queryKey: ["sample"] }),
  });
  if (!item) return null;
  const needsConcept = verdict === "missed" && item.kind === "call";
  return (
    <section aria-label={text.qa.sampleItem} data-item={id} data-of={call.attempt.id}>
      <h1>{text.qa.sampleItem}</h1>
      <p>{item.kind === "call" ? text.qa.quietCall : text.qa.suppressedFinding(concept(item.concept))}</p>
      <Radio.Group
        vertical
        aria-label={text.qa.sampleItem}
        value={verdict}
        options={Object.entries(text.qa.verdict).map(([value, label]) => ({ value, label }))}
        onChange={(event) => setVerdict(event.target.value as Word)}
      />
      {needsConcept && (
        <Select
          aria-label={text.qa.whatMissed}
          placeholder={text.qa.whatMissed}
          showSearch={{ optionFilterProp: "label" }}
          style={{ width: "100%", marginTop: 8 }}
          value={missed}
          onChange={setMissed}
          options={concepts.map((one) => ({ value: one.id, label: one[lang] }))}
        />
      )}
      <Input.TextArea
        aria-label={text.order.note}
        placeholder={text.order.note}
        rows={2}
        maxLength={2000}
        value={note}
        style={{ margin: "8px 0" }}
        onChange={(event) => setNote(event.target.value)}
      />
      <Button
        type="primary"
        block
        disabled={!verdict || (needsConcept && !missed)}
        loading={deciding.isPending}
        onClick={() => verdict && deciding.mutate(verdict)}
      >
        {text.qa.decide}
      </Button>
    </section>
  );
}
