#pragma once

#include <functional>
#include <memory>

#include "browse/site.h"

namespace templora {

/// Serves pages over HTTP to this machine alone: it listens on 127.0.0.1 and nowhere else. Over cpp-httplib, whose
/// heavy header is read by one file; a build without that library has no server.
class HttpServer {
 public:
  using Handler = std::function<WebAnswer(const WebRequest&)>;

  /// Listens on a port, or on any free one where it is 0, and answers from now on, on threads of its own. Throws
  /// Error(resources) where the port is taken, and where the program was built without the library.
  HttpServer(int port, Handler handler);
  /// Ends it; answers under way are given first.
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;
  int port() const { return port_; }

 private:
  struct Server;
  std::unique_ptr<Server> server_;
  int port_ = 0;
};

}  // namespace templora
