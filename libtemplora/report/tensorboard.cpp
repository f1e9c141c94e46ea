#include "report/tensorboard.h"
#include "run/json_lines.h"
#include "run/record.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <array>
#include <bit>
#include <map>

namespace templora {
namespace {

constexpr std::array<std::uint32_t, 256> crc_table() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < 256; ++i) {
    std::uint32_t value = i;
    for (int bit = 0; bit < 8; ++bit) value = (value & 1) ? (value >> 1) ^ 0x82F63B78u : value >> 1;
    table[i] = value;
  }
  return table;
}

template <class T>
std::string little_endian(T value) {
  std::string out;
  for (std::size_t i = 0; i < sizeof(T); ++i) out += static_cast<char>((value >> (8 * i)) & 0xFF);
  return out;
}

std::string varint(std::uint64_t value) {
  std::string out;
  for (; value >= 0x80; value >>= 7) out += static_cast<char>((value & 0x7F) | 0x80);
  return out + static_cast<char>(value);
}

// Fields of protobuf: number and wire type (0 varint, 1 eight bytes, 2 length and bytes, 5 four bytes).
std::string field(int number, std::uint64_t value) { return varint(std::uint64_t(number) << 3) + varint(value); }
std::string field(int number, double value) {
  return varint(std::uint64_t(number) << 3 | 1) + little_endian(std::bit_cast<std::uint64_t>(value));
}
std::string field(int number, float value) {
  return varint(std::uint64_t(number) << 3 | 5) + little_endian(std::bit_cast<std::uint32_t>(value));
}
std::string field(int number, std::string_view bytes) {
  return varint(std::uint64_t(number) << 3 | 2) + varint(bytes.size()) + std::string(bytes);
}

using Scalars = std::vector<std::pair<std::string, double>>;

void add_number(const Json& record, const char* name, const std::string& tag, Scalars& scalars) {
  if (const auto found = record.find(name); found != record.end() && found->is_number())
    scalars.emplace_back(tag, found->get<double>());
}

double start_of(const RunSummary& run) {
  struct stat status{};
  return ::stat((run.folder / "run.json").c_str(), &status) == 0 ? static_cast<double>(status.st_mtime) : 0;
}

/// A book's file while it grows.
struct Growing {
  EventFile file;
  std::int64_t steps = 0;  // of the optimizer
};

void add_chunk(const Json& chunk, double wall, Growing& book) {
  Scalars scalars;
  for (const Arm arm : kArms) {
    const std::string name = arm_name(arm);
    add_number(chunk, (name + "_nll").c_str(), "nll/" + name, scalars);
  }
  add_number(chunk, "learning_rate", "learning_rate", scalars);
  if (const auto seconds = chunk.find("seconds"); seconds != chunk.end() && seconds->is_object())
    for (const auto& [phase, spent] : seconds->items()) scalars.emplace_back("seconds/" + phase, spent.get<double>());
  book.file.content += tf_record(scalar_event(wall, chunk.at("chunk").get<std::int64_t>(), scalars));
  const Json losses = chunk.value("train_loss", Json::array()), norms = chunk.value("grad_norm", Json::array());
  for (std::size_t s = 0; s < losses.size(); ++s) {
    Scalars step{{"train/loss", losses[s].get<double>()}};
    if (s < norms.size()) step.emplace_back("train/grad_norm", norms[s].get<double>());
    book.file.content += tf_record(scalar_event(wall, ++book.steps, step));
  }
}

double seconds_of(const Json& chunk) {
  double sum = 0;
  if (const auto seconds = chunk.find("seconds"); seconds != chunk.end() && seconds->is_object())
    for (const auto& [phase, spent] : seconds->items()) sum += spent.get<double>();
  return sum;
}

EventFile pretrain_file(const RunSummary& run, double start) {
  EventFile file{"pretrain", tf_record(version_event(start))};
  std::map<std::int64_t, double> wall_of_step;
  double wall = start;
  for_each_record(run.folder / "steps.jsonl", [&](const Json& step) {
    wall += step.at("seconds").get<double>();
    Scalars scalars;
    add_number(step, "loss", "train/loss", scalars);
    add_number(step, "grad_norm", "train/grad_norm", scalars);
    add_number(step, "learning_rate", "learning_rate", scalars);
    const auto number = step.at("step").get<std::int64_t>();
    wall_of_step[number] = wall;
    file.content += tf_record(scalar_event(wall, number, scalars));
  });
  for_each_record(run.folder / "validation.jsonl", [&](const Json& look) {
    const auto number = look.at("step").get<std::int64_t>();
    const auto found = wall_of_step.find(number);
    Scalars scalars;
    add_number(look, "nll", "validation/nll", scalars);
    file.content += tf_record(scalar_event(found == wall_of_step.end() ? wall : found->second, number, scalars));
  });
  return file;
}

}  // namespace

std::uint32_t crc32c(std::string_view bytes) {
  static constexpr auto kTable = crc_table();
  std::uint32_t crc = 0xFFFFFFFFu;
  for (const char byte : bytes) crc = kTable[(crc ^ static_cast<unsigned char>(byte)) & 0xFF] ^ (crc >> 8);
  return ~crc;
}

std::uint32_t masked_crc32c(std::string_view bytes) {
  const std::uint32_t crc = crc32c(bytes);
  return ((crc >> 15) | (crc << 17)) + 0xA282EAD8u;
}

std::string tf_record(std::string_view bytes) {
  const std::string length = little_endian(static_cast<std::uint64_t>(bytes.size()));
  return length + little_endian(masked_crc32c(length)) + std::string(bytes) + little_endian(masked_crc32c(bytes));
}

std::string scalar_event(double wall_s, std::int64_t step, const Scalars& scalars) {
  // Event: wall_time 1, step 2, summary 5. Summary: value 1. Value: tag 1, simple_value 2.
  std::string summary;
  for (const auto& [tag, value] : scalars) summary += field(1, field(1, tag) + field(2, static_cast<float>(value)));
  return field(1, wall_s) + field(2, static_cast<std::uint64_t>(step)) + field(5, summary);
}

std::string version_event(double wall_s) { return field(1, wall_s) + field(3, std::string_view("brain.Event:2")); }

std::vector<EventFile> event_files(const RunSummary& run) {
  const double start = start_of(run);
  if (fs::exists(run.folder / "steps.jsonl")) return {pretrain_file(run, start)};
  std::map<std::int64_t, Growing> books;
  double wall = start;
  for_each_record(run.folder / "chunks.jsonl", [&](const Json& chunk) {
    const auto index = chunk.value("book_index", std::int64_t{0});
    Growing& book = books[index];
    if (book.file.content.empty()) {
      book.file.folder = fmt::format("{}-{}", index, printable(chunk.value("book", std::string("text")), 100));
      for (char& c : book.file.folder) c = c == '/' ? '_' : c;
      book.file.content = tf_record(version_event(wall));
    }
    wall += seconds_of(chunk);
    add_chunk(chunk, wall, book);
  });
  std::vector<EventFile> files;
  for (auto& [index, book] : books) files.push_back(std::move(book.file));
  return files;
}

}  // namespace templora
