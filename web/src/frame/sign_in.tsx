import { Alert, Button, Card, Form, Input } from "antd";
import { useState } from "react";
import { Problem } from "../api/client";
import { useSession } from "../api/session";
import { useLanguage } from "../text";
import { inWords } from "./problems";

interface Fields {
  name?: string;
  password?: string;
  code?: string;
}

export function SignIn() {
  const { text, lang, setLang } = useLanguage();
  const { signIn } = useSession();
  const [failed, setFailed] = useState<unknown>();
  const [needsCode, setNeedsCode] = useState(false);
  const [busy, setBusy] = useState(false);
  const submit = async ({ name = "", password = "", code }: Fields) => {
    setBusy(true);
    setFailed(undefined);
    try {
      await signIn({ name: name.trim(), password, ...(code ? { code: code.trim() } : {}) });
    } catch (error) {
      if (error instanceof Problem && error.code === "code_needed") setNeedsCode(true);
      setFailed(error);
    }
    setBusy(false);
  };
  const needed = [{ required: true, message: text.signIn.missing }];
  return (
    <main className="signin">
      <Card>
        <h1>
          <span translate="no">{text.product}</span> · {text.signIn.title}
        </h1>
        <Form layout="vertical" onFinish={(fields: Fields) => void submit(fields)} requiredMark={false}>
          <Form.Item name="name" label={text.signIn.name} rules={needed}>
            <Input autoFocus autoComplete="username" />
          </Form.Item>
          <Form.Item name="password" label={text.signIn.password} rules={needed}>
            <Input.Password autoComplete="current-password" visibilityToggle={false} />
          </Form.Item>
          {needsCode && (
            <Form.Item name="code" label={text.signIn.code} rules={needed}>
              <Input autoFocus inputMode="numeric" autoComplete="one-time-code" />
            </Form.Item>
          )}
          {failed !== undefined && <Alert type="error" showIcon title={inWords(text, failed)} style={{ marginBottom: 16 }} />}
          <Button type="primary" htmlType="submit" block loading={busy}>
            {text.signIn.submit}
          </Button>
        </Form>
        <Button type="link" translate="no" onClick={() => setLang(lang === "zh" ? "en" : "zh")} style={{ marginTop: 8, padding: 0 }}>
          {text.frame.language}
        </Button>
      </Card>
    </main>
  );
}
