#include "report/books_of_runs.h"

#include <fmt/format.h>

#include "core/error.h"

namespace templora {

void BooksOfRuns::add(RunData data, const std::string& whose) {
  const RunData& run = runs_.emplace_back(std::move(data));
  for (const BookRecord& book : run.books)
    if (!books_.emplace(book.text_hash, std::pair(&run, &book)).second)
      throw Error(Exit::usage,
                  fmt::format("{}: {} is read twice, wanted each book once", whose, printable(book.book)));
}

std::vector<float> BooksOfRuns::nll(const std::string& text_hash, Arm arm) const {
  const auto found = books_.find(text_hash);
  if (found == books_.end()) return {};
  return nll_by_position(*found->second.first, *found->second.second, arm);
}

std::vector<std::string> BooksOfRuns::texts() const {
  std::vector<std::string> texts;
  for (const auto& [text, place] : books_) texts.push_back(text);
  return texts;
}

}  // namespace templora
