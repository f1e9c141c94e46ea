#pragma once

#include <map>
#include <mutex>
#include <string>

#include "core/file.h"

namespace templora {

/// What a browser asked for, and what it gets.
struct WebRequest {
  std::string method;  ///< "GET"
  std::string path;    ///< without the query, percent signs decoded once: "/runs/a"
  std::string host;    ///< of the Host header
};
struct WebAnswer {
  int status = 200;
  std::string type = "text/html; charset=utf-8";
  std::string body;
};

/// The pages of `templora watch`: what is in one folder, read anew as it grows. Nothing is written, and no name leads
/// out of the folder, by dots or by links.
///
/// "/" and "/runs/<folder>" list the runs there and below, and show the report's figures and tables of what they have
/// so far; "/files/<file>" is a record, table or log as plain text, or a figure.
class Site {
 public:
  /// `refresh_s` is how often a page asks for itself again while something there runs. Throws Error(bad_input) where
  /// `root` is no folder.
  explicit Site(const fs::path& root, int refresh_s = 5);

  /// May be called by several threads. Throws nothing that a page could say.
  WebAnswer answer(const WebRequest& request);

 private:
  struct Page {
    std::string html;
    double made_s = 0;
  };
  WebAnswer folder_page(const std::string& relative);
  WebAnswer file(const std::string& relative) const;
  /// The real path of a name below the root; empty where there is none, or it leads out.
  fs::path inside(const std::string& relative) const;

  fs::path root_;  // real
  int refresh_s_;
  std::mutex making_;
  std::map<std::string, Page> pages_;  // by folder: many readers are no more work than one
};

/// One HTML page of the runs in a folder and below: their list, then the report of those that have numbers.
struct RunsPage {
  std::string html;
  bool running = false;  ///< one of them is under way
};
/// Runs whose real folder is not in `root`, a real path, are left out and named. While one runs, browsers ask for the
/// page again after `refresh_s`.
RunsPage runs_page(const fs::path& folder, const fs::path& root, int refresh_s);

/// A page that browsers ask for again after some seconds.
std::string refreshed(std::string html, int seconds);

}  // namespace templora
