// One's own second factor: a secret for an authenticator, shown once, and its first code.
import { Alert, Button, Card, Form, Input, Modal, QRCode } from "antd";
import { useState } from "react";
import { api, body } from "../api/client";
import { useMe, useSession } from "../api/session";
import { useText } from "../text";
import { inWords } from "./problems";

interface Shown {
  secret: string;
  uri: string;
}

/** Asks for the password, shows the secret, asks for a code. */
function SetUp({ done }: { done: () => void }) {
  const text = useText();
  const words = text.secondFactor;
  const { refresh } = useSession();
  const [shown, setShown] = useState<Shown>();
  const [failed, setFailed] = useState<string>();
  const [busy, setBusy] = useState(false);
  const step = async (work: () => Promise<void>) => {
    setBusy(true);
    setFailed(undefined);
    try {
      await work();
    } catch (error) {
      setFailed(inWords(text, error));
    }
    setBusy(false);
  };
  const begin = ({ password }: { password: string }) =>
    step(async () => setShown(await body(api.POST("/api/v1/session/second-factor", { body: { password } }))));
  const confirm = ({ code }: { code: string }) =>
    step(async () => {
      await body(api.PUT("/api/v1/session/second-factor", { body: { code: code.trim() } }));
      await refresh();
      done();
    });
  const needed = [{ required: true, message: text.signIn.missing }];
  return (
    <>
      {failed && <Alert type="error" showIcon title={failed} style={{ marginBottom: 16 }} />}
      {!shown && (
        <Form layout="vertical" requiredMark={false} onFinish={(fields: { password: string }) => void begin(fields)}>
          <p>{words.why}</p>
          <Form.Item name="password" label={text.signIn.password} rules={needed}>
            <Input.Password autoFocus autoComplete="current-password" visibilityToggle={false} />
          </Form.Item>
          <Button type="primary" htmlType="submit" block loading={busy}>
            {words.begin}
          </Button>
        </Form>
      )}
      {shown && (
        <Form layout="vertical" requiredMark={false} onFinish={(fields: { code: string }) => void confirm(fields)}>
          <p>{words.scan}</p>
          <QRCode type="svg" value={shown.uri} aria-label={words.scan} style={{ margin: "0 auto 8px" }} />
          <p translate="no">
            <code style={{ overflowWrap: "anywhere" }}>{shown.secret}</code>
          </p>
          <Form.Item name="code" label={text.signIn.code} rules={needed}>
            <Input autoFocus inputMode="numeric" autoComplete="one-time-code" />
          </Form.Item>
          <Button type="primary" htmlType="submit" block loading={busy}>
            {words.confirm}
          </Button>
        </Form>
      )}
    </>
  );
}

/** Where a role needs one, instead of every page. */
export function SecondFactorNeeded() {
  const text = useText();
  const { signOut } = useSession();
  return (
    <main className="signin">
      <Card>
        <h1>{text.secondFactor.title}</h1>
        <p>{text.secondFactor.needed}</p>
        <SetUp done={() => undefined} />
        <Button type="link" onClick={() => void signOut()} style={{ marginTop: 8, padding: 0 }}>
          {text.frame.signOut}
        </Button>
      </Card>
    </main>
  );
}

/** Who is signed in; behind the name, their second factor. */
export function OwnAccount() {
  const text = useText();
  const me = useMe();
  const [open, setOpen] = useState(false);
  return (
    <>
      <Button type="text" translate="no" onClick={() => setOpen(true)} title={text.secondFactor.title}>
        {me.displayName}
      </Button>
      <Modal open={open} title={text.secondFactor.title} footer={null} destroyOnHidden onCancel={() => setOpen(false)}>
        {me.twoFactor ? <p>{text.secondFactor.isOn}</p> : <SetUp done={() => setOpen(false)} />}
      </Modal>
    </>
  );
}
