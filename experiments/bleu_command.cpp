// `templora bleu`: BLEU and chrF of translations, with sacreBLEU's settings, numbers and signatures.

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <memory>

#include "bleu_command.h"
#include "commands.h"
#include "core/error.h"
#include "core/file.h"
#include "core/json.h"
#include "metrics/bleu.h"
#include "metrics/chrf.h"
#include "metrics/paired_test.h"
#include "run/run_data.h"

namespace templora {
namespace {

constexpr int kLongest = 64;  // n-grams; memory grows with their length

struct BleuArguments {
  std::string hypotheses, baseline;
  std::vector<std::string> references;
  std::vector<std::string> metrics{"bleu", "chrf"};
  std::string tokenizer = "13a", smoothing = "exp";
  BleuOptions bleu;
  ChrfOptions chrf;
  PairedTestOptions paired_options;
  bool lowercase = false, sentences = false, json = false, paired = false;
  int digits = 1;
};

/// One system's translations.
struct Translations {
  std::string name;  ///< "base", "lora" of a run; "" of files
  std::vector<std::string> hypotheses;
  std::vector<std::vector<std::string>> references;  ///< of each hypothesis
};

/// A file's lines without what ends them.
std::vector<std::string> lines_of(const std::string& file) {
  const std::string text = read_file(file);
  std::vector<std::string> lines;
  for (std::size_t first = 0; first < text.size();) {
    const std::size_t end = std::min(text.find('\n', first), text.size());
    std::size_t last = end;
    while (last > first && std::string_view(" \t\r\f\v").find(text[last - 1]) != std::string_view::npos) --last;
    lines.push_back(text.substr(first, last - first));
    first = end + 1;
  }
  return lines;
}

Translations read_files(const BleuArguments& arguments, const std::string& file_of_hypotheses) {
  if (arguments.references.empty())
    throw Error(
        Exit::usage,
        fmt::format("{}: got no references beside it, wanted a file of references, a line each, or a translation "
                    "run's folder alone",
                    file_of_hypotheses));
  Translations all{"", lines_of(file_of_hypotheses), {}};
  all.references.resize(all.hypotheses.size());
  for (const std::string& file : arguments.references) {
    const std::vector<std::string> lines = lines_of(file);
    if (lines.size() != all.hypotheses.size())
      throw Error(Exit::bad_input, fmt::format("{}: got {} lines, wanted {} as in {}: one for each translation", file,
                                               lines.size(), all.hypotheses.size(), file_of_hypotheses));
    for (std::size_t i = 0; i < lines.size(); ++i) all.references[i].push_back(lines[i]);
  }
  return all;
}

std::vector<Translations> read_run_pairs(const BleuArguments& arguments) {
  if (!arguments.references.empty())
    throw Error(Exit::usage,
                fmt::format("{}: got references beside a run's folder, which has its own; wanted one or the other",
                            arguments.hypotheses));
  Translations base{"base", {}, {}}, lora{"lora", {}, {}};
  for (const PairRecord& pair : read_pairs(arguments.hypotheses)) {
    if (pair.skipped) continue;
    for (const auto& [text, all] : {std::pair{&pair.base_text, &base}, {&pair.lora_text, &lora}}) {
      if (!*text) continue;
      all->hypotheses.push_back(**text);
      all->references.push_back({pair.en});
    }
  }
  std::vector<Translations> systems;
  for (Translations* all : {&base, &lora})
    if (!all->hypotheses.empty()) systems.push_back(std::move(*all));
  if (systems.empty()) throw Error(Exit::bad_input, fmt::format("{}: no translation in it yet", arguments.hypotheses));
  return systems;
}

/// A score as it is printed.
struct Shown {
  std::string name, signature, detail;
  double score = 0;
};

Shown shown(const BleuScore& bleu) {
  std::vector<std::string> precisions;
  for (const double precision : bleu.precisions) precisions.push_back(fmt::format("{:.1f}", precision));
  const double ratio = bleu.reference_words == 0 ? 0 : double(bleu.hypothesis_words) / double(bleu.reference_words);
  return {"BLEU", bleu.signature,
          fmt::format(" {} (BP = {:.3f} ratio = {:.3f} hyp_len = {} ref_len = {})", fmt::join(precisions, "/"),
                      bleu.brevity_penalty, ratio, bleu.hypothesis_words, bleu.reference_words),
          bleu.score};
}

Shown shown(const ChrfScore& chrf) { return {chrf.name, chrf.signature, "", chrf.score}; }

void print(const BleuArguments& arguments, const Translations& system, const Shown& score) {
  if (!arguments.json) {
    const std::string whose = system.name.empty() ? "" : system.name + ": ";
    print_out(fmt::format("{}{}|{} = {:.{}f}{}\n", whose, score.name, score.signature, score.score, arguments.digits,
                          score.detail));
    return;
  }
  Json line{{"name", score.name}, {"score", score.score}, {"signature", score.signature}};
  if (!system.name.empty()) line["system"] = system.name;
  if (!score.detail.empty()) line["detail"] = score.detail.substr(1);
  print_out(dump_json(line, "bleu") + "\n");
}

void print_scores(const BleuArguments& arguments, const Translations& system) {
  for (const std::string& metric : arguments.metrics) {
    if (!arguments.sentences) {
      print(arguments, system,
            metric == "bleu" ? shown(corpus_bleu(system.hypotheses, system.references, arguments.bleu))
                             : shown(corpus_chrf(system.hypotheses, system.references, arguments.chrf)));
      continue;
    }
    for (std::size_t i = 0; i < system.hypotheses.size(); ++i)
      print(arguments, system,
            metric == "bleu" ? shown(sentence_bleu(system.hypotheses[i], system.references[i], arguments.bleu))
                             : shown(sentence_chrf(system.hypotheses[i], system.references[i], arguments.chrf)));
  }
}

/// The paired tests of two systems, the first as the baseline.
void print_tests(const BleuArguments& arguments, const Translations& first, const Translations& second) {
  for (const std::string& metric : arguments.metrics) {
    const bool of_bleu = metric == "bleu";
    const auto segments = [&](const Translations& system) {
      return of_bleu ? bleu_segments(system.hypotheses, system.references, arguments.bleu)
                     : chrf_segments(system.hypotheses, system.references, arguments.chrf);
    };
    const PairedTest test = paired_test(segments(first), segments(second), arguments.paired_options);
    const std::string name = of_bleu ? "BLEU" : "chrF";
    if (arguments.json)
      print_out(dump_json(Json{{"name", name},
                               {"baseline", first.name},
                               {"system", second.name},
                               {"difference", test.second - test.first},
                               {"bootstrap_p", test.bootstrap_p},
                               {"randomization_p", test.randomization_p},
                               {"resamples", arguments.paired_options.resamples},
                               {"trials", arguments.paired_options.trials}},
                          "bleu") +
                "\n");
    else
      print_out(fmt::format(
          "{} against {}: {} {:+.{}f}, p = {:.4f} (paired bootstrap, {} draws), p = {:.4f} (approximate "
          "randomisation, {} trials)\n",
          second.name, first.name, name, test.second - test.first, arguments.digits + 1, test.bootstrap_p,
          arguments.paired_options.resamples, test.randomization_p, arguments.paired_options.trials));
  }
}

/// The systems to score, the baseline first.
std::vector<Translations> read_systems(const BleuArguments& arguments) {
  if (fs::is_directory(arguments.hypotheses)) {
    if (!arguments.baseline.empty())
      throw Error(Exit::usage, "--baseline: got a run's folder beside it, which has its own; wanted --paired");
    return read_run_pairs(arguments);
  }
  std::vector<Translations> systems;
  for (const std::string& file : {arguments.baseline, arguments.hypotheses}) {
    if (file.empty()) continue;
    systems.push_back(read_files(arguments, file));
    if (!arguments.baseline.empty()) systems.back().name = file;
  }
  return systems;
}

void bleu(BleuArguments arguments) {
  arguments.bleu.tokenizer = bleu_tokenizer_named(arguments.tokenizer);
  arguments.bleu.smoothing = bleu_smoothing_named(arguments.smoothing);
  arguments.bleu.effective_order = arguments.sentences;
  arguments.bleu.lowercase = arguments.chrf.lowercase = arguments.lowercase;
  arguments.paired |= !arguments.baseline.empty();
  if (arguments.paired && arguments.sentences)
    throw Error(Exit::usage, "--sentence-level: got it beside a paired test, which is of whole corpora");
  const std::vector<Translations> systems = read_systems(arguments);
  if (arguments.paired && systems.size() != 2)
    throw Error(Exit::usage,
                fmt::format("--paired: got one system in {}, wanted base and Temp-LoRA, or --baseline FILE",
                            arguments.hypotheses));
  for (const Translations& system : systems) print_scores(arguments, system);
  if (arguments.paired) print_tests(arguments, systems[0], systems[1]);
}

}  // namespace

void add_bleu_command(CommandLine& line) {
  const auto arguments = std::make_shared<BleuArguments>();
  BleuArguments& a = *arguments;
  Command command = line.command("bleu", "BLEU and chrF of translations, as sacreBLEU computes and signs them");
  command.option("hypotheses", a.hypotheses, "file of translations, a line each, or a translation run's folder")
      .required();
  command.option("references", a.references, "files of references, a line for each translation");
  command.option("-m,--metrics", a.metrics, "bleu, chrf; default: both").one_of({"bleu", "chrf"});
  command.option("--tokenize", a.tokenizer, "BLEU's words: 13a (the default), intl, zh, char or none");
  command.option("--smooth-method", a.smoothing,
                 "what stands in for an order without a match: exp (the default), floor, add-k or none");
  command.option("--smooth-value", a.bleu.smoothing_value, "of floor (0.1 if not given) and add-k (1)");
  command.option("--max-order", a.bleu.max_order, "BLEU's longest n-gram; default 4").between(1, kLongest);
  command.option("--chrf-char-order", a.chrf.char_order, "chrF's longest n-gram of characters; default 6")
      .between(1, kLongest);
  command.option("--chrf-word-order", a.chrf.word_order, "chrF's longest n-gram of words; default 0, 2 is chrF++")
      .between(0, kLongest);
  command.option("--chrf-beta", a.chrf.beta, "recall counts beta times beta as much as precision; default 2");
  command.flag("--chrf-whitespace", a.chrf.whitespace, "keep white space among chrF's characters");
  command.flag("--chrf-eps-smoothing", a.chrf.eps_smoothing, "mean of the orders' F scores, as in the chrF++ script");
  command.flag("--lowercase", a.lowercase, "compare both sides in small letters");
  command.flag("--sentence-level", a.sentences,
               "a score for each line; BLEU leaves out orders that are too long for it");
  command.option("--baseline", a.baseline, "file of another system's translations, for paired tests against it");
  command.flag("--paired", a.paired, "paired tests of a run's Temp-LoRA against its base");
  command.option("--paired-resamples", a.paired_options.resamples, "draws of the bootstrap; default 1000")
      .between(1, 1000000);
  command.option("--paired-trials", a.paired_options.trials, "trials of the randomisation; default 10000")
      .between(1, 1000000);
  command.option("-w,--width", a.digits, "decimals").between(0, 15);
  command.flag("--json", a.json, "one JSON object a line: name, score, signature");
  command.examples({"templora bleu translations.txt references.txt",
                    "templora bleu runs/guofeng/mine --metrics chrf --chrf-word-order 2"});
  command.action([arguments] { bleu(*arguments); });
}

}  // namespace templora
