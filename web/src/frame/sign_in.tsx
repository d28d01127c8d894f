import { useQuery } from "@tanstack/react-query";
import { Alert, Button, Card, Form, Input } from "antd";
import { useEffect, useState } from "react";
import { api, body, Problem } from "../api/client";
import { useSession } from "../api/session";
import { useLanguage } from "../text";
import { inWords } from "./problems";

interface Fields {
  name?: string;
  password?: string;
  code?: string;
}

/** Why the provider's way in ended here, once: the address is cleaned so that a reload does not say it again. */
function useReturned(): string | null {
  const [why] = useState(() => new URLSearchParams(window.location.search).get("sso"));
  useEffect(() => {
    if (why) window.history.replaceState(null, "", window.location.pathname);
  }, [why]);
  return why;
}

/** The way in by the hospital's provider, where there is one. */
function SingleSignOn() {
  const { text, lang } = useLanguage();
  const why = useReturned();
  const ways = useQuery({ queryKey: ["ways"], queryFn: () => body(api.GET("/api/v1/session/ways")) });
  const way = ways.data?.single_sign_on;
  return (
    <>
      {why && <Alert type="error" showIcon title={text.signIn.returned[why] ?? text.signIn.returned.token} style={{ marginBottom: 16 }} />}
      {way && (
        <Button block href="/api/v1/session/sso" translate="no" style={{ marginTop: 12 }}>
          {lang === "zh" ? way.label_zh : way.label_en}
        </Button>
      )}
    </>
  );
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
        <SingleSignOn />
        <Button type="link" translate="no" onClick={() => setLang(lang === "zh" ? "en" : "zh")} style={{ marginTop: 8, padding: 0 }}>
          {text.frame.language}
        </Button>
      </Card>
    </main>
  );
}
