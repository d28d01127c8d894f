// The tree as the file has it: where each answer leads, what is said, and what calls made of every node.
import { graphlib, layout } from "@dagrejs/dagre";
import { CaretRightOutlined, PauseOutlined } from "@ant-design/icons";
import { Button, Checkbox, Empty, Space, Spin, Table, Tag } from "antd";
import { useQuery } from "@tanstack/react-query";
import { useEffect, useMemo, useRef, useState } from "react";
import { api, body, proofHeaders } from "../api/client";
import { useConcepts } from "../api/site";
import { Failure, useTell } from "../frame/problems";
import { useText, word } from "../text";
import { Faults } from "./faults";
import { useVersion, type NodeFigures, type NodeView, type ScriptView, type Shown } from "./script";

const WIDTH = 170;
const HEIGHT = 44;

export default function Tree({ id, lang, draft }: Shown) {
  const text = useText();
  const found = useVersion(id, lang, draft);
  const figures = useQuery({
    queryKey: ["node_figures", id],
    queryFn: () => body(api.GET("/api/v1/scripts/{id}/figures", { params: { path: { id }, query: {} } })),
  });
  const [all, setAll] = useState(false);
  const [picked, setPicked] = useState<string | null>(null);
  if (found.error) return <Failure error={found.error} />;
  if (!found.data) return <Spin />;
  const script = found.data;
  const node = script.nodes.find((one) => one.id === (picked ?? script.start));
  return (
    <>
      {script.errors.length > 0 && <Faults faults={script.errors} />}
      <Space wrap className="row">
        <Checkbox checked={all} onChange={({ target }) => setAll(target.checked)}>
          {text.admin.scripts.wholeTree}
        </Checkbox>
        {script.lengths.map(({ day, questions, seconds }) => (
          <Tag key={day}>{text.admin.scripts.length(day, questions, seconds)}</Tag>
        ))}
      </Space>
      <div className="split">
        <Drawing script={script} all={all} picked={node?.id ?? null} pick={setPicked} />
        {node ? <Node node={node} figures={figures.data?.items.find((one) => one.node === node.id)} pick={setPicked} /> : <Empty />}
      </div>
      <h2>{text.admin.scripts.figures}</h2>
      <Figures rows={figures.data?.items ?? []} nodes={script.nodes} pick={setPicked} />
    </>
  );
}

/** The nodes of a usual call alone, or every one. */
function shownNodes({ nodes, start }: ScriptView, all: boolean): NodeView[] {
  if (all) return nodes;
  const seen = new Set<string>();
  const open = [start];
  for (let id = open.pop(); id !== undefined; id = open.pop()) {
    const node = nodes.find((one) => one.id === id);
    if (!node || seen.has(node.id)) continue;
    seen.add(node.id);
    for (const { on, to } of node.edges) if (on === "next" || on === "self" || (on === "yes" && !to.startsWith("@"))) open.push(to);
  }
  return nodes.filter((one) => seen.has(one.id));
}

function Drawing({ script, all, picked, pick }: { script: ScriptView; all: boolean; picked: string | null; pick(id: string): void }) {
  const text = useText();
  const drawn = useMemo(() => {
    const nodes = shownNodes(script, all);
    const known = new Set(nodes.map(({ id }) => id));
    const graph = new graphlib.Graph({ multigraph: true });
    graph.setGraph({ rankdir: "TB", nodesep: 16, ranksep: 34, marginx: 8, marginy: 8 });
    graph.setDefaultEdgeLabel(() => ({}));
    for (const { id } of nodes) graph.setNode(id, { width: WIDTH, height: HEIGHT });
    for (const { id, edges } of nodes) for (const { on, to } of edges) if (known.has(to) && to !== id) graph.setEdge(id, to, { on }, on);
    layout(graph);
    return { nodes, graph, size: graph.graph() as { width: number; height: number } };
  }, [script, all]);
  const { nodes, graph, size } = drawn;
  const frame = useRef<HTMLDivElement>(null);
  // The node that is spoken of stands in the middle, however large the drawing.
  useEffect(() => {
    const place = frame.current;
    if (!place || !picked || !graph.hasNode(picked)) return;
    const { x, y } = graph.node(picked) as { x: number; y: number };
    place.scrollTo({ left: x - place.clientWidth / 2, top: y - place.clientHeight / 2 });
  }, [graph, picked]);
  return (
    <div ref={frame} className="drawing" tabIndex={0} role="group" aria-label={text.admin.scripts.parts.tree}>
      <div translate="no">
      <svg width={size.width} height={size.height}>
        <defs>
          <marker id="head" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto">
            <path d="M0,0 L8,4 L0,8 z" fill="#8c8c8c" />
          </marker>
        </defs>
        {graph.edges().map((edge) => {
          const { points } = graph.edge(edge) as { points: { x: number; y: number }[] };
          const middle = points[Math.floor(points.length / 2)]!;
          const on = edge.name ?? "";
          return (
            <g key={`${edge.v} ${edge.w} ${on}`} className={on === "next" ? "edge" : "edge side"}>
              <polyline points={points.map(({ x, y }) => `${x.toFixed(1)},${y.toFixed(1)}`).join(" ")} markerEnd="url(#head)" />
              {on !== "next" && (
                <text x={middle.x} y={middle.y}>
                  {on}
                </text>
              )}
            </g>
          );
        })}
        {nodes.map((node) => {
          const { x, y } = graph.node(node.id) as { x: number; y: number };
          const kind = node.emergency ? "emergency" : node.shared ? "shared" : "own";
          return (
            <g
              key={node.id}
              className={`node ${kind}${node.id === picked ? " picked" : ""}`}
              transform={`translate(${x - WIDTH / 2},${y - HEIGHT / 2})`}
              onClick={() => pick(node.id)}
            >
              <rect width={WIDTH} height={HEIGHT} rx={node.kind === "end" ? 20 : 4} />
              <text x={8} y={18} className="id">
                {node.id}
              </text>
              <text x={8} y={34} className="said">
                {clipped(node.says.map((said) => said.text).join(" "))}
              </text>
            </g>
          );
        })}
      </svg>
      </div>
    </div>
  );
}

/** As many letters as a box holds. */
function clipped(words: string): string {
  let width = 0;
  for (let at = 0; at < words.length; at += 1) {
    width += words.charCodeAt(at) > 0x2e80 ? 11 : 6;
    if (width > WIDTH - 24) return `${words.slice(0, at)}…`;
  }
  return words;
}

function Node({ node, figures, pick }: { node: NodeView; figures: NodeFigures | undefined; pick(id: string): void }) {
  const text = useText();
  const concept = useConcepts();
  return (
    <section className="panel" aria-label={text.admin.scripts.node}>
      <h2 translate="no">{node.id}</h2>
      <Space wrap size={4}>
        <Tag>{word(text.admin.kind, node.kind)}</Tag>
        {node.emergency && <Tag color="red">{text.admin.scripts.emergency}</Tag>}
        {node.shared && <Tag>{text.admin.scripts.shared}</Tag>}
        {node.days.length > 0 && <Tag>{node.days.map((day) => text.day(day)).join(" · ")}</Tag>}
        {node.asks.map((id) => (
          <Tag key={id} color="blue">
            {concept(id)}
          </Tag>
        ))}
      </Space>
      {node.says.map((said) => (
        <p key={said.name} className="said">
          <span translate="no">{said.text}</span> {said.recording && <Play recording={said.recording} />}
          {!said.recording && !said.name.startsWith("{") && <Tag>{text.admin.scripts.synthesised}</Tag>}
        </p>
      ))}
      {node.again && (
        <p className="quiet">
          {text.admin.scripts.again}: <span translate="no">{node.again}</span>
        </p>
      )}
      {node.hint && (
        <p className="quiet">
          {text.admin.scripts.hint}: <span translate="no">{node.hint}</span>
        </p>
      )}
      <table className="edges">
        <tbody>
          {node.edges.map(({ on, to }) => (
            <tr key={on}>
              <th scope="row">{word(text.admin.reply, on)}</th>
              <td>
                {to.startsWith("@") ? (
                  word(text.admin.target, to.slice(1))
                ) : (
                  <Button type="link" size="small" translate="no" onClick={() => pick(to)}>
                    {to}
                  </Button>
                )}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      <p className="quiet" translate="no">
        {node.at}
      </p>
      {figures && (
        <p className="quiet">
          {text.admin.scripts.reached} {figures.reached} · {text.admin.scripts.hungUp} {figures.hung_up} · {text.admin.scripts.notUnderstood} {figures.not_understood}
        </p>
      )}
    </section>
  );
}

function Play({ recording }: { recording: string }) {
  const text = useText();
  const { failed } = useTell();
  const [playing, setPlaying] = useState<HTMLAudioElement | null>(null);
  const now = useRef(playing);
  useEffect(() => {
    now.current = playing;
  }, [playing]);
  useEffect(() => () => now.current?.pause(), []);
  const stop = () => {
    playing?.pause();
    setPlaying(null);
  };
  const play = async () => {
    const response = await fetch(`/api/v1/scripts/prompts/${recording}`, { headers: proofHeaders("GET") });
    if (!response.ok) throw new Error(String(response.status));
    const audio = new Audio(URL.createObjectURL(await response.blob()));
    audio.onended = () => {
      URL.revokeObjectURL(audio.src);
      setPlaying(null);
    };
    setPlaying(audio);
    await audio.play();
  };
  return (
    <Button
      size="small"
      data-playing={playing !== null}
      icon={playing ? <PauseOutlined /> : <CaretRightOutlined />}
      onClick={() => (playing ? stop() : void play().catch(failed))}
    >
      {playing ? text.order.stop : text.admin.scripts.play}
    </Button>
  );
}

function Figures({ rows, nodes, pick }: { rows: NodeFigures[]; nodes: NodeView[]; pick(id: string): void }) {
  const text = useText();
  const order = new Map(nodes.map((node, at) => [node.id, at]));
  const sorted = [...rows].sort((one, other) => (order.get(one.node) ?? 1e9) - (order.get(other.node) ?? 1e9));
  const share = (part: number, of: number) => (of > 0 ? `${part} (${text.percent(part / of)})` : String(part));
  return (
    <Table
      size="small"
      rowKey="node"
      dataSource={sorted}
      pagination={false}
      scroll={{ y: 280 }}
      locale={{ emptyText: text.admin.scripts.noCalls }}
      columns={[
        {
          title: text.admin.scripts.node,
          dataIndex: "node",
          render: (node: string) => (
            <Button type="link" size="small" translate="no" onClick={() => pick(node)}>
              {node}
            </Button>
          ),
        },
        { title: text.admin.scripts.reached, dataIndex: "reached", align: "right" },
        { title: text.admin.scripts.hungUp, key: "hung", align: "right", render: (_, row) => share(row.hung_up, row.reached) },
        { title: text.admin.scripts.notUnderstood, key: "not", align: "right", render: (_, row) => share(row.not_understood, row.asked) },
        { title: text.admin.scripts.silent, key: "silent", align: "right", render: (_, row) => share(row.silent, row.asked) },
        { title: text.admin.scripts.seconds, key: "seconds", align: "right", render: (_, row) => (row.seconds == null ? "–" : row.seconds.toFixed(1)) },
      ]}
    />
  );
}
