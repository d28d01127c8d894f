// What went wrong, in words, and the way on.
import { Alert, App, Button } from "antd";
import { useCallback } from "react";
import { Problem } from "../api/client";
import { useText, type Texts } from "../text";

export function inWords(text: Texts, error: unknown): string {
  const words: Record<string, string> = { ...text.admin.problem, ...text.problem };
  return (error instanceof Problem && words[error.code]) || text.problem.other;
}

export function Failure({ error, again }: { error: unknown; again?: () => void }) {
  const text = useText();
  const action = again && (
    <Button size="small" onClick={again}>
      {text.retry}
    </Button>
  );
  return <Alert type="error" showIcon title={inWords(text, error)} action={action} style={{ margin: 12 }} />;
}

/** Says what failed in passing. */
export function useTell(): { failed(error: unknown): void; done(words: string): void } {
  const { message } = App.useApp();
  const text = useText();
  const failed = useCallback((error: unknown) => void message.error(inWords(text, error)), [message, text]);
  const done = useCallback((words: string) => void message.success(words), [message]);
  return { failed, done };
}
