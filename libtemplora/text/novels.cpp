#include "text/novels.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "core/error.h"
#include "core/file.h"
#include "core/hash.h"
#include "core/json.h"
#include "core/utf8.h"

namespace templora {
namespace {

/// What a value is, in the words of a message.
std::string kind(const Json* value) {
  return value == nullptr ? "nothing" : value->is_null() ? "null" : std::string(value->type_name());
}

/// Reads a file's records; `where` is "file: record 3", to which it adds the field.
class RecordReader {
 public:
  RecordReader(const Json& record, std::string where) : record_(record), where_(std::move(where)) {
    if (!record.is_object()) refuse("", &record, "an object with contexts and inference");
  }

  NovelChunk read(const std::string& context) const {
    NovelChunk chunk;
    const Json* contexts = member(record_, "contexts");
    if (contexts == nullptr || !contexts->is_object()) refuse("contexts", contexts, "an object of arrays of pairs");
    bool found = false;
    for (const auto& item : contexts->items()) {
      const std::string field = "contexts." + printable(item.key(), 40);
      std::vector<SentencePair> pairs = read_pairs(&item.value(), field);
      if (item.key() != context) continue;
      chunk.context = std::move(pairs);
      found = true;
    }
    if (!found) refuse("contexts." + context, nullptr, "an array of pairs; choose another translation.context");
    chunk.pairs = read_pairs(member(record_, "inference"), "inference");
    if (chunk.pairs.empty())
      throw Error(Exit::bad_input, fmt::format("{}: inference: got no pair, wanted at least one", where_));
    return chunk;
  }

 private:
  static const Json* member(const Json& object, const char* name) {
    const auto found = object.find(name);
    return found == object.end() ? nullptr : &*found;
  }

  [[noreturn]] void refuse(const std::string& field, const Json* got, const std::string& wanted) const {
    throw Error(Exit::bad_input,
                fmt::format("{}{}{}: got {}, wanted {}", where_, field.empty() ? "" : ": ", field, kind(got), wanted));
  }

  std::vector<SentencePair> read_pairs(const Json* array, const std::string& field) const {
    if (array == nullptr || !array->is_array()) refuse(field, array, "an array of pairs");
    std::vector<SentencePair> pairs;
    for (std::size_t i = 0; i < array->size(); ++i) {
      const Json& pair = (*array)[i];
      const std::string item = fmt::format("{}[{}]", field, i);
      if (!pair.is_object()) refuse(item, &pair, "an object with zh and en");
      pairs.push_back({read_side(pair, "zh", item), read_side(pair, "en", item)});
    }
    return pairs;
  }

  std::string read_side(const Json& pair, const char* side, const std::string& item) const {
    const Json* text = member(pair, side);
    if (text == nullptr || !text->is_string())
      refuse(fmt::format("{}.{}", item, side), text, "a sentence as a string; give \"\" where there is none");
    return text->get<std::string>();
  }

  const Json& record_;
  std::string where_;
};

/// What is wrong with the JSON itself is named by its record too.
Json parse_records(std::string_view text, const std::string& where) {
  std::size_t bytes_read = 0;
  try {
    return parse_json(text, where, Exit::bad_input, &bytes_read);
  } catch (const Error& error) {
    const std::optional<std::int64_t> record =
        array_element_at(text, bytes_read - std::min<std::size_t>(bytes_read, 1));
    if (!record) throw;
    const std::string_view what = error.what();  // "where: line 3, column 7: …"
    throw Error(error.exit_code(), fmt::format("{}: record {}{}", where, *record, what.substr(where.size())));
  }
}

}  // namespace

std::optional<std::int64_t> array_element_at(std::string_view text, std::size_t offset) {
  constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
  const std::size_t first =
      text.find_first_not_of(" \t\r\n", text.starts_with(kByteOrderMark) ? kByteOrderMark.size() : 0);
  if (first == std::string_view::npos || text[first] != '[' || first >= offset) return {};
  std::int64_t element = 0, depth = 0;
  bool in_string = false;
  for (std::size_t at = first; at < std::min(offset, text.size()); ++at) {
    const char c = text[at];
    if (in_string && c == '\\')
      ++at;  // whatever is escaped does not end the string
    else if (c == '"')
      in_string = !in_string;
    else if (!in_string && (c == '[' || c == '{'))
      ++depth;
    else if (!in_string && (c == ']' || c == '}'))
      --depth;
    else if (!in_string && c == ',' && depth == 1)
      ++element;
  }
  return element;
}

bool has_empty_side(const SentencePair& pair) { return strip(pair.zh).empty() || strip(pair.en).empty(); }

Novel read_novel(const std::filesystem::path& path, const std::string& context, std::int64_t max_chunks) {
  // Records are JSON, which can only hold a name in UTF-8.
  const std::string where = shown_path(path);
  if (utf8_error(path.native()) != kValidUtf8)
    throw Error(Exit::bad_input,
                fmt::format("{}: got a name with bytes that are not UTF-8, wanted UTF-8; rename the file or its folder",
                            where));
  const std::string text = read_file(path);
  const Json records = parse_records(text, where);
  if (!records.is_array())
    throw Error(Exit::bad_input, fmt::format("{}: got {}, wanted an array of records", where, kind(&records)));
  if (records.empty())
    throw Error(Exit::bad_input,
                fmt::format("{}: got no record, wanted at least one; remove it from data.novels", where));

  Novel novel;
  novel.name = path.filename().string();
  novel.text_hash = hash_hex(text);
  for (std::size_t i = 0; i < records.size(); ++i) {
    NovelChunk chunk = RecordReader(records[i], fmt::format("{}: record {}", where, i)).read(context);
    if (max_chunks == 0 || std::int64_t(i) < max_chunks) novel.chunks.push_back(std::move(chunk));
  }
  return novel;
}

}  // namespace templora
