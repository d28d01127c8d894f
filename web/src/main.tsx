import { StyleProvider, legacyLogicalPropertiesTransformer } from "@ant-design/cssinjs";
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { App as Antd, ConfigProvider } from "antd";
import { StrictMode, type ReactNode } from "react";
import { createRoot } from "react-dom/client";
import { BrowserRouter } from "react-router";
import { Problem } from "./api/client";
import { SessionProvider } from "./api/session";
import { Pages } from "./frame/pages";
import { ANTD, LanguageProvider, useLanguage } from "./text";
import "./frame/frame.css";

const queries = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 5_000,
      // What was refused is refused again; only a server that is away is asked once more.
      retry: (failures, error) => failures < 2 && (!(error instanceof Problem) || error.status === 0 || error.status >= 500),
    },
  },
});

/** Calm, with contrast enough on an old screen. */
const THEME = {
  token: {
    colorPrimary: "#0958d9",
    colorLink: "#0958d9",
    colorError: "#cf1322",
    colorTextSecondary: "rgba(0,0,0,0.68)",
    colorTextTertiary: "rgba(0,0,0,0.62)",
    colorTextDescription: "rgba(0,0,0,0.66)",
    colorTextPlaceholder: "rgba(0,0,0,0.6)",
    borderRadius: 4,
    motion: false,
  },
};

function Localised({ children }: { children: ReactNode }) {
  const { lang } = useLanguage();
  return (
    <ConfigProvider locale={ANTD[lang]} theme={THEME} button={{ autoInsertSpace: false }}>
      <Antd>{children}</Antd>
    </ConfigProvider>
  );
}

createRoot(document.getElementById("root")!).render(
  <StrictMode>
    <StyleProvider hashPriority="high" transformers={[legacyLogicalPropertiesTransformer]}>
      <LanguageProvider>
        <Localised>
          <QueryClientProvider client={queries}>
            <SessionProvider>
              <BrowserRouter>
                <Pages />
              </BrowserRouter>
            </SessionProvider>
          </QueryClientProvider>
        </Localised>
      </LanguageProvider>
    </StyleProvider>
  </StrictMode>,
);
