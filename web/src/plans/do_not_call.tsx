// Numbers that no robot rings, whoever shares them.
import { Button, Form, Input, Popconfirm, Table } from "antd";
import { useInfiniteQuery, useMutation, useQueryClient } from "@tanstack/react-query";
import { api, body } from "../api/client";
import { Failure, useTell } from "../frame/problems";
import { useText, word } from "../text";
import { useTimes } from "../text/times";

export default function DoNotCall() {
  const text = useText();
  const { moment } = useTimes();
  const { failed, done } = useTell();
  const queries = useQueryClient();
  const [form] = Form.useForm<{ phone: string; why: string }>();
  const found = useInfiniteQuery({
    queryKey: ["do_not_call"],
    queryFn: ({ pageParam }) =>
      body(api.GET("/api/v1/do-not-call", { params: { query: { limit: 200, ...(pageParam ? { cursor: pageParam } : {}) } } })),
    initialPageParam: "",
    getNextPageParam: (page) => page.next_cursor,
  });
  const again = () => void queries.invalidateQueries({ queryKey: ["do_not_call"] });
  const add = useMutation({
    mutationFn: (fields: { phone: string; why: string }) => body(api.POST("/api/v1/do-not-call", { body: fields })),
    onSuccess: () => {
      done(text.admin.plans.numberAdded);
      form.resetFields();
      again();
    },
    onError: failed,
  });
  const remove = useMutation({
    mutationFn: (phone: string) => body(api.POST("/api/v1/do-not-call/remove", { body: { phone } })),
    onSuccess: again,
    onError: failed,
  });
  if (found.error) return <Failure error={found.error} again={() => void found.refetch()} />;
  const needed = [{ required: true, message: text.signIn.missing }];
  return (
    <>
      <Form form={form} layout="inline" className="row" onFinish={(fields: { phone: string; why: string }) => add.mutate(fields)} requiredMark={false}>
        <Form.Item name="phone" label={text.admin.plans.phone} rules={needed}>
          <Input inputMode="tel" autoComplete="off" style={{ width: 200 }} />
        </Form.Item>
        <Form.Item name="why" label={text.admin.plans.reason} rules={needed}>
          <Input style={{ width: 280 }} maxLength={200} />
        </Form.Item>
        <Button htmlType="submit" type="primary" loading={add.isPending}>
          {text.admin.plans.addNumber}
        </Button>
      </Form>
      <Table
        size="small"
        rowKey={(row) => `${row.phone ?? ""} ${row.added_at} ${row.added_by}`}
        loading={found.isPending}
        dataSource={found.data?.pages.flatMap((page) => page.items) ?? []}
        pagination={{ pageSize: 20, showSizeChanger: false, hideOnSinglePage: true }}
        locale={{ emptyText: text.none }}
        columns={[
          { title: text.admin.plans.phone, dataIndex: "phone", render: (phone?: string | null) => phone ?? text.admin.plans.erasedNumber },
          { title: text.admin.plans.reason, dataIndex: "why", render: (why: string) => (why in text.disposition ? word(text.disposition, why) : <span translate="no">{why}</span>) },
          { title: text.admin.plans.by, dataIndex: "added_by", render: (by: string) => <span translate="no">{by}</span> },
          { title: text.admin.plans.since, dataIndex: "added_at", render: (at: string) => moment(at) },
          {
            title: text.admin.plans.action,
            key: "remove",
            render: (_, { phone }) => phone && (
              <Popconfirm title={text.admin.plans.removeSure} onConfirm={() => remove.mutate(phone)} okText={text.admin.plans.remove} cancelText={text.cancel}>
                <Button size="small" danger>
                  {text.admin.plans.remove}
                </Button>
              </Popconfirm>
            ),
          },
        ]}
      />
      {found.hasNextPage && <Button onClick={() => void found.fetchNextPage()}>{text.more}</Button>}
    </>
  );
}
