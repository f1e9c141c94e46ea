#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <string>

// A client that sends exactly what it is given: libraries tidy paths before a server sees them.
namespace templora_test {

/// The whole answer to these bytes; "" where nobody listens there.
inline std::string sent(const char* address, int port, const std::string& bytes) {
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(std::uint16_t(port));
  ::inet_pton(AF_INET, address, &to.sin_addr);
  std::string answer;
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0 &&
      ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL) == ssize_t(bytes.size())) {
    char buffer[65536];
    for (ssize_t got; (got = ::recv(fd, buffer, sizeof buffer, 0)) > 0;) answer.append(buffer, std::size_t(got));
  }
  ::close(fd);
  return answer;
}

inline std::string request(int port, const std::string& path, const std::string& method = "GET",
                           const std::string& host = "127.0.0.1", const std::string& body = "") {
  return sent("127.0.0.1", port,
              method + " " + path + " HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n" +
                  (body.empty() ? "" : "Content-Length: " + std::to_string(body.size()) + "\r\n") + "\r\n" + body);
}

/// 200 of "HTTP/1.1 200 OK…"; 0 of no answer.
inline int status_of(const std::string& answer) { return answer.size() < 12 ? 0 : std::stoi(answer.substr(9, 3)); }

}  // namespace templora_test
