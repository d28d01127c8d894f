// The texts of a script's own folder: written in a draft, proved at each save, handed in when nothing is wrong.
import { Alert, Button, Input, Popconfirm, Segmented, Space, Spin, Tag } from "antd";
import { useMutation } from "@tanstack/react-query";
import { useRef, useState } from "react";
import { api, body } from "../api/client";
import { may, useMe } from "../api/session";
import { Failure, useTell } from "../frame/problems";
import { useText, word } from "../text";
import { Faults } from "./faults";
import { useDrafts, useDraftsAgain, useVersion, type Draft, type Shown } from "./script";

export default function Edit(shown: Shown) {
  const version = useVersion(shown.id, shown.lang, shown.draft);
  const drafts = useDrafts(shown.id);
  if (version.error) return <Failure error={version.error} />;
  if (!version.data || !drafts.data) return <Spin />;
  const draft = drafts.data.drafts.find(({ id }) => id === shown.draft);
  const files = Object.fromEntries(version.data.files.map(({ name, text }) => [name, text]));
  return <Editor key={draft?.revision ?? "new"} shown={shown} draft={draft} files={files} faults={draft?.errors ?? version.data.errors} />;
}

function Editor({ shown, draft, files, faults }: { shown: Shown; draft: Draft | undefined; files: Record<string, string>; faults: Draft["errors"] }) {
  const text = useText();
  const me = useMe();
  const { failed, done } = useTell();
  const again = useDraftsAgain();
  const names = Object.keys(files);
  const [written, setWritten] = useState(files);
  const [note, setNote] = useState(draft?.note ?? "");
  const [open, setOpen] = useState(names.find((name) => name.endsWith(`${shown.lang}.toml`)) ?? names[0] ?? "");
  const area = useRef<{ resizableTextArea?: { textArea: HTMLTextAreaElement } | undefined } | null>(null);
  const isMine = may(me, "edit_scripts") && (!draft || draft.state === "draft");
  const isChanged = note !== (draft?.note ?? "") || names.some((name) => written[name] !== files[name]);
  const path = { params: { path: { id: shown.id } } };
  const save = useMutation({
    mutationFn: () =>
      body(api.PUT("/api/v1/scripts/{id}/drafts", { ...path, body: { note, files: written, ...(draft ? { draft: draft.id, revision: draft.revision } : { revision: 0 }) } })),
    onSuccess: (saved) => {
      done(text.admin.scripts.saved);
      again();
      shown.pick(saved.id);
    },
    onError: failed,
  });
  const step = useMutation({
    mutationFn: (to: "submitted" | "withdrawn") => body(api.POST("/api/v1/drafts/{id}/state", { params: { path: { id: draft!.id } }, body: { revision: draft!.revision, to } })),
    onSuccess: (moved) => {
      done(word(text.admin.draft, moved.state));
      again();
      if (moved.state === "withdrawn") shown.pick(null);
    },
    onError: failed,
  });
  const go = (file: string, line: number) => {
    setOpen(file);
    // After the other file is shown.
    requestAnimationFrame(() => {
      const place = area.current?.resizableTextArea?.textArea;
      if (!place) return;
      const lines = (written[file] ?? "").split("\n");
      const from = lines.slice(0, line - 1).reduce((sum, one) => sum + one.length + 1, 0);
      place.focus();
      place.setSelectionRange(from, from + (lines[line - 1] ?? "").length);
      place.scrollTop = Math.max(0, (line - 5) * 20);
    });
  };
  return (
    <>
      <Space wrap className="row">
        {draft && <Tag color="blue">{word(text.admin.draft, draft.state)}</Tag>}
        <Input aria-label={text.admin.scripts.note} placeholder={text.admin.scripts.note} value={note} disabled={!isMine} onChange={({ target }) => setNote(target.value)} style={{ width: 320 }} maxLength={200} />
        {isMine && (
          <Button type="primary" disabled={!isChanged || note.trim() === ""} loading={save.isPending} onClick={() => save.mutate()}>
            {draft ? text.save : text.admin.scripts.saveNew}
          </Button>
        )}
        {isMine && draft && (
          <Popconfirm title={text.admin.scripts.submitSure} onConfirm={() => step.mutate("submitted")} okText={text.admin.scripts.submit} cancelText={text.cancel}>
            <Button disabled={isChanged || draft.errors.length > 0}>{text.admin.scripts.submit}</Button>
          </Popconfirm>
        )}
        {isMine && draft && (
          <Popconfirm title={text.admin.scripts.withdrawSure} onConfirm={() => step.mutate("withdrawn")} okText={text.admin.scripts.withdraw} cancelText={text.cancel}>
            <Button danger>{text.admin.scripts.withdraw}</Button>
          </Popconfirm>
        )}
      </Space>
      {!isMine && <Alert type="info" title={draft ? text.admin.scripts.handedIn : text.admin.scripts.readOnly} style={{ marginBottom: 8 }} />}
      <Faults faults={faults} go={go} />
      <Segmented
        aria-label={text.admin.scripts.file}
        value={open}
        onChange={setOpen}
        options={names.map((name) => ({ value: name, label: <span translate="no">{name + (written[name] === files[name] ? "" : " ●")}</span> }))}
        style={{ marginBottom: 8 }}
      />
      <Input.TextArea
        ref={(place) => {
          area.current = place as typeof area.current;
        }}
        className="code"
        translate="no"
        aria-label={text.admin.scripts.parts.edit}
        spellCheck={false}
        readOnly={!isMine}
        value={written[open] ?? ""}
        onChange={({ target }) => setWritten({ ...written, [open]: target.value })}
        rows={22}
      />
      <p className="quiet">{text.admin.scripts.recordings}</p>
    </>
  );
}
