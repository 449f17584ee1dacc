// SPDX-License-Identifier: LGPL-2.1-or-later
#include "finding.h"

#include "../../common/json.h"
#include "../../common/printable.h"

#include <algorithm>
#include <array>

namespace snapctl::doctor {

namespace {

// One pass: what is filled in may itself look like a word to fill in.
std::string filled(std::string_view text, const Values &values) {
    std::string line;
    while (!text.empty()) {
        const auto found =
            std::find_if(values.begin(), values.end(), [&](const auto &value) {
                return text.starts_with(value.first);
            });
        if (found == values.end()) {
            line += text.front();
            text.remove_prefix(1);
        } else {
            line += snaptool::printable(found->second);
            text.remove_prefix(found->first.size());
        }
    }
    return line;
}

std::size_t count(const Findings &findings, Verdict verdict) {
    return static_cast<std::size_t>(
        std::count_if(findings.begin(), findings.end(),
                      [&](auto &f) { return f.verdict == verdict; }));
}

std::string padded(std::string_view word, std::size_t width) {
    std::string text(word);
    text.resize(std::max(width, text.size() + 1), ' ');
    return text;
}

} // namespace

Finding fill(const Advice &advice, const Values &values) {
    return {advice.verdict, advice.check, filled(advice.what, values),
            filled(advice.remedy, values)};
}

Finding good(const char *check, std::string_view what) {
    return {Verdict::ok, check, snaptool::printable(what), ""};
}

const char *verdict_name(Verdict verdict) {
    static constexpr std::array names{"ok", "note", "missing"};
    return names.at(static_cast<std::size_t>(verdict));
}

std::string findings_text(const Findings &findings) {
    std::string text;
    for (const auto &f : findings) {
        text += padded(verdict_name(f.verdict), 9) + padded(f.check, 14) +
                f.what + '\n';
        if (!f.remedy.empty())
            text +=
                padded("", 9) + padded("", 14) + "to do: " + f.remedy + '\n';
    }
    const auto missing = count(findings, Verdict::missing);
    const auto notes = count(findings, Verdict::note);
    return text +
           (missing == 0 ? "nothing is missing"
                         : std::to_string(missing) + " missing") +
           ", " + std::to_string(notes) + (notes == 1 ? " note\n" : " notes\n");
}

std::string findings_json(const Findings &findings) {
    snaptool::Json json;
    json.put("missing", count(findings, Verdict::missing))
        .put("notes", count(findings, Verdict::note))
        .open_list("findings");
    for (const auto &f : findings)
        json.open()
            .put("check", f.check)
            .put("verdict", verdict_name(f.verdict))
            .put("what", f.what)
            .put("to_do", f.remedy)
            .close();
    json.close_list();
    return std::move(json).finish();
}

bool healthy(const Findings &findings) {
    return count(findings, Verdict::missing) == 0;
}

} // namespace snapctl::doctor
