// A discharge list is looked at first, and saved after: what would come of each row, and what to mend at its line.
import { UploadOutlined } from "@ant-design/icons";
import { Alert, Button, Descriptions, Space, Table, Upload } from "antd";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { api, body, Problem, proofHeaders } from "../api/client";
import type { components } from "../api/schema";
import { Failure, useTell } from "../frame/problems";
import { useText, word } from "../text";
import { useTimes } from "../text/times";

type Report = components["schemas"]["ImportReport"];

const WORKBOOK = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";

async function send(file: File, dry: boolean): Promise<Report> {
  const kind = file.name.toLowerCase().endsWith(".xlsx") ? WORKBOOK : "text/csv";
  const headers = { ...proofHeaders("POST"), "content-type": kind };
  const response = await fetch(`/api/v1/imports?dry_run=${String(dry)}`, { method: "POST", headers, body: file });
  const said: unknown = await response.json().catch(() => ({}));
  if (response.ok) return said as Report;
  const problem = said as { code?: string; detail?: string };
  throw new Problem(problem.code ?? "internal", response.status, problem.detail ?? "");
}

export default function Imports() {
  const text = useText();
  const { moment } = useTimes();
  const { done } = useTell();
  const queries = useQueryClient();
  const [file, setFile] = useState<File | null>(null);
  const earlier = useQuery({ queryKey: ["imports"], queryFn: () => body(api.GET("/api/v1/imports", { params: { query: { limit: 200 } } })) });
  const look = useMutation({ mutationFn: (file: File) => send(file, true) });
  const save = useMutation({
    mutationFn: (file: File) => send(file, false),
    onSuccess: (report) => {
      done(text.admin.plans.imported(report.accepted));
      look.reset();
      setFile(null);
      void queries.invalidateQueries({ queryKey: ["imports"] });
    },
  });
  const report = look.data;
  const error = look.error ?? save.error;
  return (
    <>
      <Space className="row">
        <Upload
          accept=".csv,.xlsx,.txt"
          maxCount={1}
          showUploadList={false}
          beforeUpload={(chosen) => {
            setFile(chosen);
            save.reset();
            look.mutate(chosen);
            return false;
          }}
        >
          <Button icon={<UploadOutlined />} loading={look.isPending}>
            {text.admin.plans.choose}
          </Button>
        </Upload>
        {file && <span translate="no">{file.name}</span>}
        {file && report && (
          <Button type="primary" disabled={report.accepted === 0} loading={save.isPending} onClick={() => save.mutate(file)}>
            {text.admin.plans.import(report.accepted)}
          </Button>
        )}
      </Space>
      {error && <Failure error={error} />}
      {report && <Looked report={report} />}
      {save.data && save.data.problems.length > 0 && <Problems report={save.data} />}
      <h2>{text.admin.plans.importsMade}</h2>
      <Table
        size="small"
        rowKey="id"
        loading={earlier.isPending}
        dataSource={[...(earlier.data?.items ?? [])].reverse()}
        pagination={{ pageSize: 20, showSizeChanger: false, hideOnSinglePage: true }}
        locale={{ emptyText: text.none }}
        columns={[
          { title: text.admin.plans.at, dataIndex: "at", render: (at: string) => moment(at) },
          { title: text.admin.plans.by, dataIndex: "who", render: (who: string) => <span translate="no">{who}</span> },
          { title: text.admin.plans.accepted, dataIndex: "accepted", align: "right" },
          { title: text.admin.plans.refused, dataIndex: "refused", align: "right" },
        ]}
      />
    </>
  );
}

function Looked({ report }: { report: Report }) {
  const text = useText();
  return (
    <section aria-label={text.admin.plans.dryRun} data-dry-run>
      <Alert type="info" title={text.admin.plans.dryRun} style={{ marginBottom: 8 }} />
      <Descriptions size="small" bordered column={4} style={{ marginBottom: 8, background: "#fff" }}>
        <Descriptions.Item label={text.admin.plans.accepted}>{report.accepted}</Descriptions.Item>
        <Descriptions.Item label={text.admin.plans.refused}>{report.refused}</Descriptions.Item>
        <Descriptions.Item label={text.admin.plans.newPatients}>{report.new_patients}</Descriptions.Item>
        <Descriptions.Item label={text.admin.plans.changedPatients}>{report.changed_patients}</Descriptions.Item>
        <Descriptions.Item label={text.admin.plans.newStays}>{report.new_episodes}</Descriptions.Item>
        <Descriptions.Item label={text.admin.plans.changedStays}>{report.changed_episodes}</Descriptions.Item>
        <Descriptions.Item label={text.admin.plans.steps}>{report.steps}</Descriptions.Item>
        <Descriptions.Item label={text.admin.plans.notRead}>
          <span translate="no">{report.not_read.join(", ") || "–"}</span>
        </Descriptions.Item>
      </Descriptions>
      {report.problems.length > 0 && <Problems report={report} />}
      <Table
        size="small"
        rowKey="line"
        dataSource={report.rows}
        pagination={{ pageSize: 20, showSizeChanger: false, hideOnSinglePage: true }}
        columns={[
          { title: text.admin.plans.line, dataIndex: "line", width: 80 },
          { title: text.admin.plans.patient, dataIndex: "patient", render: (is: string) => word(text.admin.row, is) },
          { title: text.admin.plans.stay, dataIndex: "stay", render: (is: string) => word(text.admin.row, is) },
          { title: text.admin.plans.changes, dataIndex: "changed", render: (names: string[]) => <span translate="no">{names.join(", ")}</span> },
          {
            title: text.admin.plans.steps,
            dataIndex: "steps",
            render: (steps: { day: number; due_on: string }[]) => steps.map((step) => `${text.day(step.day)} ${step.due_on}`).join(" · "),
          },
        ]}
      />
    </section>
  );
}

function Problems({ report }: { report: Report }) {
  const text = useText();
  return (
    <Table
      size="small"
      style={{ marginBottom: 8 }}
      rowKey={(problem) => `${problem.line} ${problem.column} ${problem.fault}`}
      dataSource={report.problems}
      pagination={{ pageSize: 10, showSizeChanger: false, hideOnSinglePage: true }}
      columns={[
        { title: text.admin.plans.line, key: "line", width: 90, render: (_, { line, cell }) => <span translate="no">{cell ?? line}</span> },
        { title: text.admin.plans.column, dataIndex: "column", render: (name: string) => <span translate="no">{name}</span> },
        { title: text.admin.plans.fault, dataIndex: "fault", render: (words: string) => <span translate="no">{words}</span> },
        { title: text.admin.plans.cure, dataIndex: "cure", render: (words: string) => <span translate="no">{words}</span> },
      ]}
    />
  );
}
