#include "browse/site.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>

#include "browse/run_list.h"
#include "browse/run_sources.h"
#include "core/check.h"
#include "core/error.h"
#include "core/log.h"
#include "core/utf8.h"
#include "report/markdown.h"
#include "report/page.h"
#include "report/report.h"
#include "report/svg.h"

namespace templora {
namespace {

constexpr std::uintmax_t kMostFileBytes = 64 << 20;  // of a file that is shown
constexpr std::size_t kMostPages = 64;               // kept

constexpr const char* kStyle =
    "<style>.remark{overflow-wrap:anywhere}.runs{margin:1rem 0 1.5rem}"
    ".runs td,.runs th{text-align:right}.runs .word{text-align:left}"
    ".runs .long{overflow-wrap:anywhere;min-width:8rem}.runs td:not(.long){white-space:nowrap}"
    "@media (max-width:999px){.runs .none{display:none}.runs td{text-align:right}"
    ".runs td::before{overflow-wrap:normal;flex:0 0 auto;max-width:45%}}"
    ".runs .running{font-weight:600}.runs .failed,.runs .interrupted{color:#b3400a}"
    "@media (prefers-color-scheme:dark){.runs .failed,.runs .interrupted{color:#f0965a}}</style>\n";

double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// A name as it may stand in a link's path.
std::string url_escaped(const std::string& path) {
  std::string out;
  for (const char c : path) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                       c == '_' || c == '.' || c == '~' || c == '/';
    out += plain ? std::string(1, c) : fmt::format("%{:02X}", byte);
  }
  return out;
}

std::string runs_table(const std::vector<ListedRun>& runs, const fs::path& root) {
  const std::vector<std::string> settings = differing_settings(runs);
  // As the report's tables it is a list on a narrow screen; there what a run has not is left out.
  std::string out =
      "<section id=\"runs-now\" class=\"w1000\"><table class=\"runs\">\n<thead><tr><th class=\"word\">run</th>"
      "<th class=\"word\">state</th><th>done</th><th>left</th><th>base PPL</th><th>PPL</th><th>change %</th>"
      "<th class=\"word\">model</th><th class=\"word\">settings that differ</th><th class=\"word\">began</th>"
      "</tr></thead>\n"
      "<tbody>\n";
  const auto add = [&](const char* head, const std::string& style, const std::string& html) {
    const char* none = html.empty() || html == kDash ? " none" : "";
    out += fmt::format("<td class=\"{}{}\" data-head=\"{}\"><span>{}</span></td>", style, none, head, html);
  };
  for (std::size_t i = 0; i < runs.size(); ++i) {
    const ListedRun& run = runs[i];
    const RunProgress& progress = run.progress;
    std::string name = fmt::format("<a href=\"/runs/{}\">{}</a>",
                                   url_escaped(fs::relative(run.run.folder, root).string()),
                                   xml_escaped(printable(run.name, 80)));
    for (const std::string& tag : run.tags) name += " #" + xml_escaped(printable(tag, 40));
    const auto share = progress.share();
    const bool under_way = progress.state != RunState::finished;
    const auto ppl = progress.lora ? progress.lora : progress.validation;
    out += "<tr>";
    add("run", "word long", name);
    add("state", (progress.problem.empty() ? "word " : "word long ") + run.state,
        run.state + (progress.problem.empty() ? "" : ": " + xml_escaped(printable(progress.problem, 300))));
    add("done", "number", share ? fmt::format("{:.0f} %", 100 * *share) : kDash);
    add("left", "number", progress.seconds_left && under_way ? duration_text(*progress.seconds_left) : kDash);
    add("base PPL", "number", cell(progress.base, "{:.2f}"));
    add("PPL", "number", cell(ppl, "{:.2f}"));
    add("change %", "number", cell(progress.change_percent(), "{:+.1f}"));
    add("model", "word", xml_escaped(printable(run.run.model(), 60)));
    add("settings that differ", "word long", xml_escaped(settings[i].empty() ? kDash : settings[i]));
    add("began", "word", xml_escaped(run.date));
    out += "</tr>\n";
  }
  return out + "</tbody></table></section>\n";
}

/// The report of these runs as a page; one that only says why where there is none.
std::string report_html(const std::vector<RunSource>& sources, std::vector<std::string>& remarks) {
  Report report;
  try {
    if (!sources.empty()) report = make_report(read_report_runs(sources, {}, true), {});
  } catch (const std::exception&) {
    report = {};
    std::vector<RunSource> readable;  // a damaged run hides no other
    for (const RunSource& source : sources) {
      try {
        read_report_run(source, source.edges, true);
        readable.push_back(source);
      } catch (const std::exception& error) {
        remarks.push_back(error.what());
      }
    }
    if (readable.size() < sources.size()) return report_html(readable, remarks);
    remarks.push_back("These runs have no report yet.");
  }
  report.remarks.insert(report.remarks.begin(), remarks.begin(), remarks.end());
  return report_page(report);
}

void insert_behind(std::string& html, const std::string& mark, const std::string& what) {
  const std::size_t at = html.find(mark);
  TEMPLORA_CHECK(at != std::string::npos, "a report's page has a head and a body");
  html.insert(at + mark.size(), what);
}

/// Whether a real path lies in a real folder, or is it.
bool is_inside(const fs::path& path, const fs::path& folder) {
  return std::mismatch(folder.begin(), folder.end(), path.begin(), path.end()).first == folder.end();
}

WebAnswer refusal(int status, const std::string& why) {
  return {status, "text/plain; charset=utf-8", fmt::format("{} {}\n", status, why)};
}

}  // namespace

std::string refreshed(std::string html, int seconds) {
  insert_behind(html, "<head>", fmt::format("<meta http-equiv=\"refresh\" content=\"{}\">", seconds));
  return html;
}

RunsPage runs_page(const fs::path& folder, const fs::path& root, int refresh_s) {
  std::vector<std::string> remarks;
  std::vector<RunSource> sources;
  for (RunSource& source : find_runs({folder.string()}, remarks)) {
    const fs::path real = fs::weakly_canonical(source.folder);
    if (!is_inside(real, root)) {
      remarks.push_back(fmt::format("{} is outside of this folder and is left out.", source.name));
      continue;
    }
    source.name = real == root ? real.filename().string() : fs::relative(real, root).string();
    sources.push_back(std::move(source));
  }
  const std::vector<ListedRun> runs = list_runs(sources, remarks);
  RunsPage page;
  page.running = std::any_of(runs.begin(), runs.end(),
                             [](const ListedRun& run) { return run.progress.state == RunState::running; });
  page.html = report_html(sources, remarks);
  insert_behind(page.html, "<body>", kStyle + runs_table(runs, root));
  if (page.running || runs.empty()) page.html = refreshed(std::move(page.html), refresh_s);
  return page;
}

Site::Site(const fs::path& root, int refresh_s) : refresh_s_(refresh_s) {
  std::error_code problem;
  root_ = fs::canonical(root, problem);
  if (problem || !fs::is_directory(root_, problem))
    throw Error(Exit::bad_input,
                fmt::format("{}: no such folder, wanted one with runs in it", shown_path(root)));
}

WebAnswer Site::answer(const WebRequest& request) {
  if (request.method != "GET" && request.method != "HEAD") return refusal(405, "this page can only be read");
  // A name that was made to point here by another site's pages must not be able to read them.
  const std::string host = request.host.substr(0, request.host.rfind(':'));
  if (host != "127.0.0.1" && host != "localhost") return refusal(403, "wanted the host 127.0.0.1 or localhost");
  const std::string& path = request.path;
  const bool plain = std::none_of(path.begin(), path.end(), [](unsigned char c) { return c < ' ' || c == 127; });
  if (!plain || utf8_error(path) != kValidUtf8) return refusal(400, "wanted a path of text");
  try {
    if (path == "/" || path == "/runs") return folder_page("");
    if (path.starts_with("/runs/")) return folder_page(path.substr(6));
    if (path.starts_with("/files/")) return file(path.substr(7));
  } catch (const std::exception& error) {
    return refusal(500, printable(error.what(), 1000));
  }
  return refusal(404, "nothing is here");
}

fs::path Site::inside(const std::string& relative) const {
  fs::path path = root_;
  for (const fs::path& part : fs::path(relative)) {
    if (part == "..") return {};
    if (!part.is_absolute() && !part.empty()) path /= part;
  }
  std::error_code problem;
  const fs::path real = fs::canonical(path, problem);
  return problem || !is_inside(real, root_) ? fs::path() : real;
}

WebAnswer Site::folder_page(const std::string& relative) {
  const fs::path folder = inside(relative);
  if (folder.empty() || !fs::is_directory(folder)) return refusal(404, "no such folder is here");
  const std::lock_guard lock(making_);
  if (pages_.size() >= kMostPages) pages_.clear();
  Page& page = pages_[folder.string()];
  if (page.html.empty() || seconds_now() - page.made_s > 0.5 * refresh_s_) {
    page.html = runs_page(folder, root_, refresh_s_).html;
    page.made_s = seconds_now();
  }
  return {200, "text/html; charset=utf-8", page.html};
}

WebAnswer Site::file(const std::string& relative) const {
  const fs::path path = inside(relative);
  if (path.empty() || !fs::is_regular_file(path)) return refusal(404, "no such file is here");
  // Files of runs and sweeps, and the logs beside cells; whatever else the folder holds is nobody's business.
  const fs::path folder = path.parent_path();
  const std::string ending = path.extension().string();
  const bool of_run = fs::exists(folder / "run.json") || fs::exists(folder / "sweep.json");
  const bool of_cell = ending == ".log" && fs::is_directory(folder / path.stem());
  constexpr std::array kShown{".json", ".jsonl", ".md", ".svg", ".txt", ".log"};
  if (!(of_run || of_cell) || std::find(kShown.begin(), kShown.end(), ending) == kShown.end())
    return refusal(404, "no such file is here");
  if (fs::file_size(path) > kMostFileBytes) return refusal(403, "this file is too long to be shown");
  return {200, ending == ".svg" ? "image/svg+xml" : "text/plain; charset=utf-8", read_file(path)};
}

}  // namespace templora
