// Stop dialling for a ward or for everybody, and go on.
import { Alert, Button, Form, Input, Popconfirm, Select, Table } from "antd";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { api, body } from "../api/client";
import { Failure, useTell } from "../frame/problems";
import { useText } from "../text";
import { useTimes } from "../text/times";

/** No ward is called so. */
const EVERYBODY = "*";

export default function Pauses() {
  const text = useText();
  const { moment } = useTimes();
  const { failed, done } = useTell();
  const queries = useQueryClient();
  const [form] = Form.useForm<{ ward: string; why: string }>();
  const found = useQuery({ queryKey: ["pauses"], queryFn: () => body(api.GET("/api/v1/pauses")) });
  const again = () => void queries.invalidateQueries({ queryKey: ["pauses"] });
  const stop = useMutation({
    mutationFn: ({ ward, why }: { ward: string; why: string }) => body(api.POST("/api/v1/pauses", { body: { ward: ward === EVERYBODY ? null : ward, why } })),
    onSuccess: () => {
      done(text.admin.plans.stopped);
      form.resetFields();
      again();
    },
    onError: failed,
  });
  const goOn = useMutation({
    mutationFn: (ward: string | null | undefined) => body(api.POST("/api/v1/pauses/end", { body: { ward: ward ?? null } })),
    onSuccess: () => {
      done(text.admin.plans.resumed);
      again();
    },
    onError: failed,
  });
  if (found.error) return <Failure error={found.error} again={() => void found.refetch()} />;
  const pauses = found.data?.items ?? [];
  const needed = [{ required: true, message: text.signIn.missing }];
  return (
    <>
      <Alert type="info" style={{ marginBottom: 12 }} title={text.admin.plans.pauseHelp} />
      <Form form={form} layout="inline" className="row" onFinish={(fields: { ward: string; why: string }) => stop.mutate(fields)} requiredMark={false}>
        <Form.Item name="ward" label={text.ward} rules={needed}>
          <Select
            style={{ minWidth: 160 }}
            options={[
              ...(found.data?.wards ?? []).map((ward) => ({ value: ward, label: <span translate="no">{ward}</span> })),
              { value: EVERYBODY, label: text.admin.plans.everybody },
            ]}
          />
        </Form.Item>
        <Form.Item name="why" label={text.admin.plans.reason} rules={needed}>
          <Input style={{ minWidth: 280 }} maxLength={200} />
        </Form.Item>
        <Button htmlType="submit" danger loading={stop.isPending}>
          {text.admin.plans.pause}
        </Button>
      </Form>
      <Table
        size="small"
        loading={found.isPending}
        rowKey={(pause) => pause.ward ?? EVERYBODY}
        dataSource={pauses}
        pagination={false}
        locale={{ emptyText: text.admin.plans.noPause }}
        columns={[
          { title: text.ward, key: "ward", render: (_, pause) => (pause.ward ? <span translate="no">{pause.ward}</span> : text.admin.plans.everybody) },
          { title: text.admin.plans.reason, dataIndex: "why", render: (why: string) => <span translate="no">{why}</span> },
          { title: text.admin.plans.by, dataIndex: "by", render: (by: string) => <span translate="no">{by}</span> },
          { title: text.admin.plans.since, dataIndex: "at", render: (at: string) => moment(at) },
          {
            title: text.admin.plans.action,
            key: "end",
            render: (_, pause) => (
              <Popconfirm title={text.admin.plans.resumeSure} onConfirm={() => goOn.mutate(pause.ward)} okText={text.admin.plans.resume} cancelText={text.cancel}>
                <Button size="small">{text.admin.plans.resume}</Button>
              </Popconfirm>
            ),
          },
        ]}
      />
    </>
  );
}
