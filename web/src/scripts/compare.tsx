// Two versions side by side, node by node: what is said, asked, and where each answer leads.
import { Empty, Select, Space, Spin, Tag } from "antd";
import { useState } from "react";
import { Failure } from "../frame/problems";
import { useText, word } from "../text";
import { useDrafts, useVersion, type NodeView, type Shown } from "./script";

const FOLDER = "";

export default function Compare({ id, lang, draft }: Shown) {
  const text = useText();
  const drafts = useDrafts(id);
  const [before, setBefore] = useState(FOLDER);
  const [after, setAfter] = useState(draft ?? FOLDER);
  const one = useVersion(id, lang, before || null);
  const other = useVersion(id, lang, after || null);
  const error = one.error ?? other.error;
  if (error) return <Failure error={error} />;
  const versions = [
    { value: FOLDER, label: text.admin.scripts.folder },
    ...(drafts.data?.drafts ?? []).map((draft) => ({
      value: draft.id,
      label: (
        <span>
          <span translate="no">{draft.note || draft.id.slice(-6)}</span> · {word(text.admin.draft, draft.state)}
        </span>
      ),
    })),
  ];
  const changes = one.data && other.data ? compared(one.data.nodes, other.data.nodes) : null;
  return (
    <>
      <Space wrap className="row">
        <Select aria-label={text.admin.scripts.before} value={before} onChange={setBefore} options={versions} style={{ minWidth: 240 }} />
        <span aria-hidden="true">→</span>
        <Select aria-label={text.admin.scripts.after} value={after} onChange={setAfter} options={versions} style={{ minWidth: 240 }} />
        {changes && <Tag color="blue">{text.admin.scripts.changes(changes.length)}</Tag>}
      </Space>
      {!changes && <Spin />}
      {changes?.length === 0 && <Empty description={text.admin.scripts.same} />}
      {changes?.map(({ node, was, is }) => (
        <div key={node} className="change">
          <h2 translate="no">{node}</h2>
          <pre className="was" translate="no">
            {was ?? "∅"}
          </pre>
          <pre className="is" translate="no">
            {is ?? "∅"}
          </pre>
        </div>
      ))}
    </>
  );
}

interface Change {
  node: string;
  was: string | null;
  is: string | null;
}

/** A node as an author reads it. */
function written(node: NodeView): string {
  const lines = [
    `kind ${node.kind}${node.emergency ? ", emergency" : ""}${node.follow_up ? ", follow_up" : ""}`,
    ...(node.days.length > 0 ? [`days ${node.days.join(", ")}`] : []),
    ...(node.asks.length > 0 ? [`asks ${node.asks.join(", ")}`] : []),
    ...node.says.map((said) => `say ${said.text}`),
    ...(node.again ? [`again ${node.again}`] : []),
    ...(node.hint ? [`hint ${node.hint}`] : []),
    ...node.edges.map(({ on, to }) => `${on} → ${to}`),
  ];
  return lines.join("\n");
}

function compared(before: NodeView[], after: NodeView[]): Change[] {
  const was = new Map(before.map((node) => [node.id, written(node)]));
  const is = new Map(after.map((node) => [node.id, written(node)]));
  const names = [...new Set([...was.keys(), ...is.keys()])];
  return names.filter((name) => was.get(name) !== is.get(name)).map((node) => ({ node, was: was.get(node) ?? null, is: is.get(node) ?? null }));
}
