// The author's bench: a script's tree, its texts, a rehearsal, two versions side by side, what calls made of it, release.
import { Select, Space, Spin, Tag } from "antd";
import { useQuery } from "@tanstack/react-query";
import { lazy, Suspense, type ComponentType } from "react";
import { Navigate, Route, Routes, useNavigate, useParams, useSearchParams } from "react-router";
import { api, body } from "../api/client";
import { Parts } from "../frame/parts";
import { Failure } from "../frame/problems";
import { useLanguage, word } from "../text";
import { useDrafts, type ScriptLang, type Shown } from "./script";
import "./scripts.css";

const PARTS = ["tree", "edit", "rehearse", "compare", "release"] as const;
type Part = (typeof PARTS)[number];

const SHOWN: Record<Part, ComponentType<Shown>> = {
  tree: lazy(() => import("./tree")),
  edit: lazy(() => import("./edit")),
  rehearse: lazy(() => import("./rehearse")),
  compare: lazy(() => import("./compare")),
  release: lazy(() => import("./release")),
};

export default function Scripts() {
  const found = useQuery({ queryKey: ["scripts"], queryFn: () => body(api.GET("/api/v1/scripts")) });
  if (found.error) return <Failure error={found.error} again={() => void found.refetch()} />;
  const first = found.data?.items[0];
  if (!found.data) return <Spin style={{ display: "block", marginTop: 80 }} />;
  return (
    <Routes>
      <Route path=":id/:part" element={<Script heads={found.data.items} />} />
      {first && <Route path="*" element={<Navigate to={`/scripts/${first.id}/tree`} replace />} />}
    </Routes>
  );
}

interface Head {
  id: string;
  revision: number;
  refused?: string | null;
  signature?: { clinician: string; expires: string } | null;
}

function Script({ heads }: { heads: Head[] }) {
  const { text, lang: reads } = useLanguage();
  const { id = "", part = "tree" } = useParams();
  const navigate = useNavigate();
  const [search, setSearch] = useSearchParams();
  const drafts = useDrafts(id);
  const lang = (search.get("lang") ?? reads) as ScriptLang;
  const draft = search.get("draft");
  const head = heads.find((one) => one.id === id);
  const put = (key: string, value: string | null) => {
    const next = new URLSearchParams(search);
    if (value) next.set(key, value);
    else next.delete(key);
    setSearch(next, { replace: true });
  };
  const open = (drafts.data?.drafts ?? []).filter(({ state }) => state !== "withdrawn");
  const is = PARTS.find((one) => one === part) ?? "tree";
  const Part = SHOWN[is];
  return (
    <div className="page scripts">
      <Space wrap className="row">
        <h1>{text.pages.scripts}</h1>
        <Select
          aria-label={text.pages.scripts}
          value={id}
          onChange={(to) => void navigate(`/scripts/${to}/${is}?lang=${lang}`)}
          options={heads.map((one) => ({ value: one.id, label: word(text.script, one.id) }))}
          style={{ minWidth: 120 }}
        />
        <Select<ScriptLang>
          aria-label={text.admin.scripts.spoken}
          value={lang}
          onChange={(to) => put("lang", to)}
          options={[
            { value: "zh", label: text.admin.scripts.zh },
            { value: "en", label: text.admin.scripts.en },
          ]}
          style={{ minWidth: 110 }}
        />
        <Select
          aria-label={text.admin.scripts.version}
          value={draft ?? ""}
          onChange={(to) => put("draft", to || null)}
          options={[
            { value: "", label: text.admin.scripts.folder },
            ...open.map((one) => ({ value: one.id, label: <span translate="no">{one.note || one.id.slice(-6)}</span> })),
          ]}
          style={{ minWidth: 200 }}
        />
        {head && (
          <Tag color={head.refused ? "red" : "green"}>{head.refused ? text.admin.scripts.mayNot : text.admin.scripts.may(head.revision)}</Tag>
        )}
        {head?.refused && <span translate="no">{head.refused}</span>}
        {head?.signature && (
          <span className="quiet">
            {text.admin.scripts.signedBy} <span translate="no">{head.signature.clinician}</span> {text.admin.scripts.until(head.signature.expires)}
          </span>
        )}
      </Space>
      <Parts
        label={text.pages.scripts}
        parts={PARTS.map((name) => ({ to: `/scripts/${id}/${name}?${search.toString()}`, shown: text.admin.scripts.parts[name] }))}
      />
      <Suspense fallback={<Spin />}>
        <Part key={`${id} ${lang} ${draft ?? ""}`} id={id} lang={lang} draft={draft} pick={(to) => put("draft", to)} />
      </Suspense>
    </div>
  );
}
