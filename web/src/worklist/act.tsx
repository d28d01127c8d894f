// What a nurse does with an order once it is hers: each is a short form.
import { useMutation } from "@tanstack/react-query";
import { Form, Input, Modal, Radio } from "antd";
import { api, body, type WorkOrder } from "../api/client";
import { useTell } from "../frame/problems";
import { useText } from "../text";

export type Doing = "close" | "spoken" | "hand_over" | "reopen";

interface Fields {
  outcome?: string;
  to?: string;
  note?: string;
}

function ask(doing: Doing, id: string, { outcome = "", to = "", note = "" }: Fields): Promise<WorkOrder> {
  const params = { path: { id } };
  switch (doing) {
    case "close":
      return body(api.POST("/api/v1/work-orders/{id}/close", { params, body: { outcome, note } }));
    case "spoken":
      return body(api.POST("/api/v1/work-orders/{id}/spoken", { params, body: { note } }));
    case "hand_over":
      return body(api.POST("/api/v1/work-orders/{id}/hand-over", { params, body: { to: to.trim(), note } }));
    case "reopen":
      return body(api.POST("/api/v1/work-orders/{id}/reopen", { params, body: { note } }));
  }
}

export function Act({ order, doing, stop, done }: { order: WorkOrder; doing: Doing | null; stop: () => void; done: () => Promise<void> }) {
  const text = useText();
  const tell = useTell();
  const [form] = Form.useForm<Fields>();
  const titles: Record<Doing, [title: string, said: string]> = {
    close: [text.order.close, text.order.closed],
    spoken: [text.order.spoken, text.order.spokenTold],
    hand_over: [text.order.handOver, text.order.handedOver],
    reopen: [text.order.reopen, text.order.reopened],
  };
  const acting = useMutation({
    mutationFn: ({ doing, fields }: { doing: Doing; fields: Fields }) => ask(doing, order.id, fields),
    onSuccess: (_, { doing }) => {
      tell.done(titles[doing][1]);
      stop();
    },
    onError: tell.failed,
    onSettled: done,
  });
  const title = doing ? titles[doing][0] : "";
  const needed = [{ required: true, message: text.signIn.missing }];
  return (
    <Modal
      open={doing !== null}
      title={title}
      okText={title}
      onOk={() => form.submit()}
      onCancel={stop}
      confirmLoading={acting.isPending}
      destroyOnHidden
      // A keyboard begins at the first field, not at the cross.
      afterOpenChange={(shown) => shown && document.querySelector<HTMLElement>("[role=dialog] form input, [role=dialog] form textarea")?.focus()}
    >
      <Form form={form} layout="vertical" requiredMark={false} preserve={false} onFinish={(fields) => doing && acting.mutate({ doing, fields })}>
        {doing === "close" && (
          <Form.Item name="outcome" label={text.order.outcome} rules={needed}>
            <Radio.Group vertical options={Object.entries(text.outcome).map(([value, label]) => ({ value, label }))} />
          </Form.Item>
        )}
        {doing === "hand_over" && (
          <Form.Item name="to" label={text.order.to} rules={needed}>
            <Input autoComplete="off" />
          </Form.Item>
        )}
        <Form.Item name="note" label={text.order.note} extra={text.order.noteHelp}>
          <Input.TextArea rows={3} maxLength={2000} />
        </Form.Item>
      </Form>
    </Modal>
  );
}
