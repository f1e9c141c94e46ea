#include "browse/http_server.h"

#include <fmt/format.h>

#include "core/error.h"

#ifdef TEMPLORA_HTTPLIB
#include <httplib.h>

#include <thread>
#include <utility>
#endif

namespace templora {

#ifdef TEMPLORA_HTTPLIB

namespace {

constexpr int kThreads = 4;
constexpr time_t kTimeout_s = 5;
constexpr std::size_t kMostBodyBytes = 4096;  // nobody sends one

// The library's default would let a second server share the port.
void set_socket_options(socket_t socket) {
  const int yes = 1;
  ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
}

const httplib::Headers kHeaders{
    // No script, no other site, no frame, whatever a record's text says.
    {"Content-Security-Policy",
     "default-src 'none'; style-src 'unsafe-inline'; img-src 'self'; base-uri 'none'; form-action 'none'; "
     "frame-ancestors 'none'"},
    {"X-Content-Type-Options", "nosniff"},
    {"Referrer-Policy", "no-referrer"},
    {"Cross-Origin-Resource-Policy", "same-origin"},
    {"Cache-Control", "no-store"}};

}  // namespace

struct HttpServer::Server {
  httplib::Server http;
  std::thread listener;
};

HttpServer::HttpServer(int port, Handler handler) : server_(std::make_unique<Server>()) {
  httplib::Server& http = server_->http;
  http.new_task_queue = [] { return new httplib::ThreadPool(kThreads); };
  http.set_socket_options(set_socket_options);
  http.set_default_headers(kHeaders);
  http.set_read_timeout(kTimeout_s);
  http.set_write_timeout(kTimeout_s);
  http.set_payload_max_length(kMostBodyBytes);
  // All requests are answered here, so that none reaches the library's own files or patterns.
  http.set_pre_routing_handler([handler](const httplib::Request& request, httplib::Response& response) {
    WebAnswer answer = handler({request.method, request.path, request.get_header_value("Host")});
    response.status = answer.status;
    if (answer.status == 405) response.set_header("Allow", "GET, HEAD");
    response.set_content(std::move(answer.body), answer.type);
    return httplib::Server::HandlerResponse::Handled;
  });
  port_ = port == 0 ? http.bind_to_any_port("127.0.0.1") : http.bind_to_port("127.0.0.1", port) ? port : -1;
  if (port_ < 0)
    throw Error(Exit::resources,
                fmt::format("127.0.0.1:{}: cannot be listened on, wanted a free port; choose another --port", port));
  server_->listener = std::thread([&http] { http.listen_after_bind(); });
  while (!http.is_running()) std::this_thread::yield();  // stop() before that would be forgotten
}

HttpServer::~HttpServer() {
  if (!server_ || !server_->listener.joinable()) return;
  server_->http.stop();
  server_->listener.join();
}

#else

struct HttpServer::Server {};

HttpServer::HttpServer(int, Handler) {
  throw Error(Exit::resources,
              "watch: this program was built without a web server; install libcpp-httplib-dev and build it again, or "
              "use templora report --follow");
}

HttpServer::~HttpServer() = default;

#endif

}  // namespace templora
