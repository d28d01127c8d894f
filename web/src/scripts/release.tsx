// From a draft to what calls say: handed in, signed by a clinician who changed nothing of it, put in force, taken back.
import { Alert, Button, DatePicker, Form, Input, Modal, Space, Spin, Table, Tag, Upload } from "antd";
import { useMutation } from "@tanstack/react-query";
import dayjs, { type Dayjs } from "dayjs";
import { useState } from "react";
import { api, body } from "../api/client";
import { may, useMe } from "../api/session";
import { Failure, useTell } from "../frame/problems";
import { useText, word } from "../text";
import { useTimes } from "../text/times";
import { readKey, signText, type Key } from "./key";
import { useDrafts, useDraftsAgain, type Draft, type Shown } from "./script";

export default function Release({ id }: Shown) {
  const text = useText();
  const { moment } = useTimes();
  const me = useMe();
  const found = useDrafts(id);
  const [signing, setSigning] = useState<Draft | null>(null);
  const [publishing, setPublishing] = useState<Draft | "folder" | null>(null);
  if (found.error) return <Failure error={found.error} />;
  if (!found.data) return <Spin />;
  const { drafts, publications } = found.data;
  const inForce = publications[0]?.draft ?? null;
  const isOwn = (draft: Draft) => draft.edited_by.includes(me.name) || draft.submitted_by === me.name;
  const shown = (draft: string | null | undefined) => (draft ? <span translate="no">{drafts.find((one) => one.id === draft)?.note ?? draft}</span> : text.admin.scripts.folder);
  return (
    <>
      <Alert type="info" title={text.admin.scripts.releaseHelp} style={{ marginBottom: 8 }} />
      <Table
        size="small"
        rowKey="id"
        dataSource={drafts}
        pagination={false}
        locale={{ emptyText: text.admin.scripts.noDraft }}
        columns={[
          { title: text.admin.scripts.note, dataIndex: "note", render: (note: string) => <span translate="no">{note}</span> },
          {
            title: text.admin.scripts.state,
            key: "state",
            render: (_, draft) => (
              <Space size={4} wrap>
                <Tag color={draft.state === "signed" ? "green" : "blue"} data-draft={draft.state}>
                  {word(text.admin.draft, draft.state)}
                </Tag>
                {draft.id === inForce && <Tag color="green">{text.admin.scripts.next}</Tag>}
                {draft.errors.length > 0 && <Tag color="red">{text.admin.scripts.faults(draft.errors.length)}</Tag>}
              </Space>
            ),
          },
          { title: text.admin.scripts.editedBy, key: "by", render: (_, draft) => <span translate="no">{draft.edited_by.join(", ")}</span> },
          { title: text.admin.scripts.changedAt, dataIndex: "changed_at", render: (at: string) => moment(at) },
          {
            title: text.admin.scripts.signature,
            key: "signature",
            render: (_, draft) =>
              draft.signature && (
                <>
                  <span translate="no">{draft.signature.clinician}</span> ({word(text.admin.role, draft.signed_role)}, <span translate="no">{draft.signed_by}</span>){" "}
                  {text.admin.scripts.until(draft.signature.expires)}
                </>
              ),
          },
          {
            title: text.admin.plans.action,
            key: "act",
            render: (_, draft) => (
              <Space>
                {draft.state === "submitted" && may(me, "sign_scripts") && (
                  <>
                    <Button size="small" type="primary" disabled={isOwn(draft)} title={isOwn(draft) ? text.admin.scripts.notOwn : undefined} onClick={() => setSigning(draft)}>
                      {text.admin.scripts.sign}
                    </Button>
                    <GiveBack draft={draft} />
                  </>
                )}
                {draft.state === "signed" && draft.id !== inForce && may(me, "publish_scripts") && (
                  <Button size="small" type="primary" onClick={() => setPublishing(draft)}>
                    {text.admin.scripts.publish}
                  </Button>
                )}
              </Space>
            ),
          },
        ]}
      />
      <h2 style={{ marginTop: 16 }}>
        {text.admin.scripts.published}{" "}
        {inForce && may(me, "publish_scripts") && (
          <Button size="small" onClick={() => setPublishing("folder")}>
            {text.admin.scripts.rollBack}
          </Button>
        )}
      </h2>
      <Table
        size="small"
        rowKey="at"
        dataSource={publications}
        pagination={false}
        locale={{ emptyText: text.admin.scripts.folderInForce }}
        columns={[
          { title: text.admin.scripts.version, key: "draft", render: (_, { draft }) => shown(draft) },
          { title: text.admin.plans.reason, dataIndex: "why", render: (why: string) => <span translate="no">{why}</span> },
          { title: text.admin.plans.by, dataIndex: "by", render: (by: string) => <span translate="no">{by}</span> },
          { title: text.admin.plans.at, dataIndex: "at", render: (at: string) => moment(at) },
        ]}
      />
      {signing && <Sign draft={signing} clinicians={found.data.clinicians} close={() => setSigning(null)} />}
      {publishing && <Publish script={id} draft={publishing} close={() => setPublishing(null)} />}
    </>
  );
}

function GiveBack({ draft }: { draft: Draft }) {
  const text = useText();
  const { failed, done } = useTell();
  const again = useDraftsAgain();
  const back = useMutation({
    mutationFn: () => body(api.POST("/api/v1/drafts/{id}/state", { params: { path: { id: draft.id } }, body: { revision: draft.revision, to: "draft" } })),
    onSuccess: () => {
      done(text.admin.scripts.givenBack);
      again();
    },
    onError: failed,
  });
  return (
    <Button size="small" onClick={() => back.mutate()} loading={back.isPending}>
      {text.admin.scripts.giveBack}
    </Button>
  );
}

interface Clinician {
  clinician: string;
  key_id: string;
  loopback_only: boolean;
}

function Sign({ draft, clinicians, close }: { draft: Draft; clinicians: Clinician[]; close(): void }) {
  const text = useText();
  const { done } = useTell();
  const again = useDraftsAgain();
  const [key, setKey] = useState<Key | null>(null);
  const [wrong, setWrong] = useState<string | null>(null);
  const [expires, setExpires] = useState<Dayjs>(dayjs().add(1, "year"));
  const known = key && clinicians.find(({ key_id }) => key_id === key.id);
  const sign = useMutation({
    mutationFn: async (key: Key) => {
      const path = { params: { path: { id: draft.id } } };
      const until = expires.format("YYYY-MM-DD");
      const asked = await body(api.POST("/api/v1/drafts/{id}/signing", { ...path, body: { key_id: key.id, expires: until } }));
      const signature = signText(key, asked.text);
      const sent = { revision: draft.revision, key_id: key.id, signed_on: asked.signed_on, expires: until, signature };
      return body(api.POST("/api/v1/drafts/{id}/sign", { ...path, body: sent }));
    },
    onSuccess: () => {
      done(text.admin.scripts.signed);
      again();
      close();
    },
  });
  const take = async (file: File) => {
    setKey(null);
    const read = readKey(await file.text());
    setWrong(read ? null : text.admin.scripts.noKey);
    setKey(read);
  };
  return (
    <Modal
      open
      onCancel={close}
      title={text.admin.scripts.signTitle}
      okText={text.admin.scripts.sign}
      cancelText={text.cancel}
      okButtonProps={{ disabled: !known, loading: sign.isPending }}
      onOk={() => key && sign.mutate(key)}
    >
      <p>
        <strong translate="no">{draft.note}</strong> · {text.admin.scripts.hash} <code translate="no">{draft.hash.slice(0, 16)}</code>
      </p>
      <p>{text.admin.scripts.signHelp}</p>
      <Space direction="vertical" style={{ width: "100%" }}>
        <Upload
          accept=".toml"
          maxCount={1}
          showUploadList={false}
          beforeUpload={(file) => {
            void take(file);
            return false;
          }}
        >
          <Button>{text.admin.scripts.chooseKey}</Button>
        </Upload>
        {wrong && <Alert type="error" title={wrong} />}
        {key && !known && <Alert type="error" title={text.admin.scripts.notTrusted} />}
        {known && (
          <Alert
            type={known.loopback_only ? "warning" : "success"}
            title={
              <>
                <span translate="no">{known.clinician}</span> · {text.admin.role["clinician"]}
                {known.loopback_only && ` · ${text.admin.scripts.loopback}`}
              </>
            }
          />
        )}
        <label>
          {text.admin.scripts.expires}{" "}
          <DatePicker value={expires} onChange={(to) => to && setExpires(to)} allowClear={false} disabledDate={(day) => !day.isAfter(dayjs(), "day")} />
        </label>
        {sign.error && <Failure error={sign.error} />}
      </Space>
    </Modal>
  );
}

function Publish({ script, draft, close }: { script: string; draft: Draft | "folder"; close(): void }) {
  const text = useText();
  const { done } = useTell();
  const again = useDraftsAgain();
  const publish = useMutation({
    mutationFn: ({ why }: { why: string }) =>
      body(api.POST("/api/v1/scripts/{id}/publish", { params: { path: { id: script } }, body: { why, draft: draft === "folder" ? null : draft.id } })),
    onSuccess: () => {
      done(text.admin.scripts.inForceNext);
      again();
      close();
    },
  });
  return (
    <Modal open onCancel={close} footer={null} title={draft === "folder" ? text.admin.scripts.rollBack : text.admin.scripts.publish}>
      <p>{text.admin.scripts.publishHelp}</p>
      <Form layout="vertical" onFinish={(fields: { why: string }) => publish.mutate(fields)} requiredMark={false}>
        <Form.Item name="why" label={text.admin.plans.reason} rules={[{ required: true, message: text.signIn.missing }]}>
          <Input maxLength={200} autoFocus />
        </Form.Item>
        {publish.error && <Failure error={publish.error} />}
        <Button type="primary" htmlType="submit" loading={publish.isPending}>
          {draft === "folder" ? text.admin.scripts.rollBack : text.admin.scripts.publish}
        </Button>
      </Form>
    </Modal>
  );
}
