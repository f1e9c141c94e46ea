#include "browse/site.h"

#include <sys/stat.h>

#include "../report/made_runs.h"
#include "browse/http_server.h"
#include "catch.h"
#include "text_parts.h"
#include "web.h"

using namespace templora;
using namespace templora_test;

namespace {

/// A folder of two runs, with things around it that are nobody's business.
struct Watched {
  Watched() {
    make_run(root / "a", {.gain = 0.1, .config_hash = "aaaaaaaaaaaa"});
    make_run(root / "<b> & 'c'", {.chunk_tokens = 40, .gain = 0.3, .config_hash = "bbbbbbbbbbbb"});
    make_run(folder / "outside", {.gain = 0.5});
    write_file_atomically(folder / "secret.txt", "secret");
    write_file_atomically(root / "notes.txt", "secret");  // in the folder, but of no run
    write_file_atomically(root / "a/key.pem", "secret");
    fs::create_symlink("../../secret.txt", root / "a/link.txt");
    fs::create_directory_symlink(folder / "outside", root / "elsewhere");
    ::mkfifo((root / "a/pipe.txt").c_str(), 0600);
  }
  WebAnswer get(const std::string& path, const std::string& method = "GET", const std::string& host = "127.0.0.1:80") {
    return site.answer({method, path, host});
  }
  TempFolder folder;
  fs::path root = fs::path(folder / "runs");
  Site site{(fs::create_directories(root), root), 1};
};

}  // namespace

TEST_CASE("Site: a page lists the runs and has the report's figures of them", "[unit]") {
  Watched watched;
  const WebAnswer page = watched.get("/");
  CHECK(page.status == 200);
  CHECK(has(page.body, "<a href=\"/runs/a\">a</a>"));
  CHECK(has(page.body, "/runs/%3Cb%3E%20%26%20%27c%27"));
  CHECK(has(page.body, "&lt;b&gt;"));
  CHECK_FALSE(has(page.body, "<b>"));
  CHECK(has(page.body, "<svg"));
  CHECK(has(page.body, "finished"));
  CHECK(has(page.body, "<td class=\"number none\" data-head=\"left\">"));
  CHECK(has(page.body, "is outside of this folder and is left out"));
  CHECK_FALSE(has(page.body, "http-equiv"));  // nothing runs: nothing changes
  const WebAnswer one = watched.get("/runs/<b> & 'c'");
  CHECK(one.status == 200);
  CHECK(has(one.body, "<svg"));
  CHECK_FALSE(has(one.body, "/runs/a\""));
  CHECK(watched.get("/files/a/run.json").body == read_file(watched.root / "a/run.json"));
  CHECK(watched.get("/files/a/run.json").type == "text/plain; charset=utf-8");
}

TEST_CASE("Site: a run that is under way is asked for again and read anew, a damaged one is told", "[unit]") {
  Watched watched;
  const RunFolder running = RunFolder::create(watched.root / "now", made_record({}));
  write_file_atomically(watched.root / "a/chunks.jsonl", "{}\n");
  const WebAnswer page = watched.get("/");
  CHECK(has(page.body, "<meta http-equiv=\"refresh\" content=\"1\">"));
  CHECK(has(page.body, "running"));
  CHECK(has(page.body, "chunks.jsonl"));
  CHECK(has(page.body, "<svg"));  // of the run that is whole
  CHECK(watched.get("/runs/now").status == 200);
}

TEST_CASE("Site: no name leads out of the folder, and only files of runs are shown", "[unit]") {
  Watched watched;
  for (const char* path :
       {"/files/../secret.txt", "/files/a/../../secret.txt", "/files/..", "/runs/..", "/runs/../outside", "/..",
        "/files//etc/passwd", "/files/a/link.txt", "/runs/elsewhere", "/files/elsewhere/run.json", "/files/notes.txt",
        "/files/a/key.pem", "/files/a", "/files/a/pipe.txt", "/files/a/lock", "/runs/none", "/files/", "/etc/passwd",
        "/files/%2e%2e/secret.txt", "/files/a\\..\\..\\secret.txt"}) {
    INFO(path);
    const WebAnswer answer = watched.get(path);
    CHECK(answer.status == 404);
    CHECK_FALSE(has(answer.body, "secret\n"));
  }
  CHECK(watched.get(std::string("/files/a/run.json\0x", 18)).status == 400);
  CHECK(watched.get("/\xff").status == 400);
  for (const char* method : {"POST", "PUT", "DELETE", "OPTIONS", "get"}) CHECK(watched.get("/", method).status == 405);
  CHECK(watched.get("/", "HEAD").status == 200);
  for (const char* host : {"evil.example:80", "", "127.0.0.1.evil.example", "[::1]:80"})
    CHECK(watched.get("/", "GET", host).status == 403);
  CHECK(watched.get("/", "GET", "localhost:80").status == 200);
  CHECK_THROWS_AS(Site(watched.folder / "none"), Error);
}

TEST_CASE("HttpServer: answers this machine's requests as they are, to reading only", "[unit]") {
  Watched watched;
  if (thrown_by([] { HttpServer(0, [](const WebRequest&) { return WebAnswer(); }); }).says("built without")) {
    WARN("skipped: built without libcpp-httplib-dev");
    return;
  }
  const HttpServer server(0, [&](const WebRequest& asked) { return watched.site.answer(asked); });
  const int port = server.port();
  const std::string page = request(port, "/");
  CHECK(status_of(page) == 200);
  CHECK(has(page, "<svg"));
  CHECK(has(page, "Content-Security-Policy: default-src 'none'"));
  CHECK(has(page, "nosniff"));
  CHECK(status_of(request(port, "/runs/a?x=1")) == 200);
  for (const char* path : {"/files/../secret.txt", "/files/%2e%2e/secret.txt", "/files/%2E%2E%2Fsecret.txt",
                           "/files/..%2fsecret.txt", "/files/a/link.txt", "/files/%252e%252e/secret.txt",
                           "/../../../../etc/passwd", "/files/%2fetc%2fpasswd"}) {
    INFO(path);
    const std::string answer = request(port, path);
    CHECK(status_of(answer) == 404);
    CHECK_FALSE(has(answer, "secret\n"));
    CHECK_FALSE(has(answer, "root:"));
  }
  const std::string posted = request(port, "/", "POST", "127.0.0.1", "x=1");
  CHECK(status_of(posted) == 405);
  CHECK(has(posted, "Allow: GET, HEAD"));
  CHECK(status_of(request(port, "/files/a/run.json", "DELETE")) == 405);
  CHECK(fs::exists(watched.root / "a/run.json"));
  CHECK(status_of(request(port, "/", "GET", "evil.example")) == 403);
  const std::string head = request(port, "/", "HEAD");
  CHECK(status_of(head) == 200);
  CHECK_FALSE(has(head, "<html"));
  CHECK(status_of(request(port, "/" + std::string(20000, 'a'))) >= 400);
  CHECK(status_of(sent("127.0.0.1", port, "nonsense\r\n\r\n")) >= 400);
  CHECK(status_of(request(port, "/")) == 200);  // and goes on
  CHECK_THROWS_AS(HttpServer(port, [](const WebRequest&) { return WebAnswer(); }), Error);  // nobody shares a port
  CHECK(sent("127.0.0.2", port, "GET / HTTP/1.1\r\n\r\n").empty());  // listens on 127.0.0.1 and nowhere else
}
