#include "cmlog/line.hpp"

#include <algorithm>
#include <charconv>

namespace drainwatch::cmlog {
namespace {

bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

bool is_upper(char c)
{
    return c >= 'A' && c <= 'Z';
}

bool is_tag(char c)
{
    return is_upper(c) || is_digit(c) || c == '_';
}

/// Takes one thing after the other from the front. Once one was not there, none is any more.
class Scanner {
public:
    explicit Scanner(std::string_view text) : rest_(text) {}

    [[nodiscard]] bool failed() const { return failed_; }
    [[nodiscard]] std::string_view rest() const { return rest_; }

    void literal(std::string_view text)
    {
        if (!failed_ && rest_.substr(0, text.size()) == text) {
            rest_.remove_prefix(text.size());
        } else {
            failed_ = true;
        }
    }

    void optional(char c)
    {
        if (!failed_ && !rest_.empty() && rest_.front() == c) {
            rest_.remove_prefix(1);
        }
    }

    /// As many as there are, and at least one.
    std::string_view run(bool (*belongs)(char))
    {
        const auto end = std::find_if_not(rest_.begin(), rest_.end(), belongs);
        return take(static_cast<std::size_t>(end - rest_.begin()));
    }

    /// Up to the first of these characters, which stays; at least one.
    std::string_view until(std::string_view ends)
    {
        const std::size_t end = rest_.find_first_of(ends);
        return take(end == std::string_view::npos ? 0 : end);
    }

    template <typename Integer>
    Integer number(int base = 10)
    {
        Integer value{};
        const auto [end, error] =
            std::from_chars(rest_.data(), rest_.data() + rest_.size(), value, base);
        if (failed_ || error != std::errc{}) {
            failed_ = true;
            return {};
        }
        rest_.remove_prefix(static_cast<std::size_t>(end - rest_.data()));
        return value;
    }

    /// So many digits.
    int digits(std::size_t count)
    {
        const std::string_view text = take(std::min(count, rest_.size()));
        int value = 0;
        failed_ =
            failed_ || text.size() != count || !std::all_of(text.begin(), text.end(), is_digit);
        for (const char c : failed_ ? std::string_view() : text) {
            value = value * 10 + (c - '0');
        }
        return value;
    }

private:
    std::string_view take(std::size_t length)
    {
        if (failed_ || length == 0) {
            failed_ = true;
            return {};
        }
        const std::string_view taken = rest_.substr(0, length);
        rest_.remove_prefix(length);
        return taken;
    }

    std::string_view rest_;
    bool failed_ = false;
};

LocalTime take_time(Scanner& scanner)
{
    LocalTime t;
    t.year = scanner.digits(4);
    t.month = scanner.digits(2);
    t.day = scanner.digits(2);
    scanner.literal(":");
    t.hour = scanner.digits(2);
    t.minute = scanner.digits(2);
    t.second = scanner.digits(2);
    t.millisecond = scanner.digits(3);
    return t;
}

/// A number is followed by itself in hexadecimal.
std::optional<Value> take_value(Scanner& scanner)
{
    Scanner number = scanner;
    const auto value = number.number<std::uint64_t>();
    number.literal("(0x");
    const auto again = number.number<std::uint64_t>(16);
    number.literal(")");
    if (!number.failed() && value == again) {
        scanner = number;
        return value;
    }
    if (auto address = AddressPattern::parse(scanner.until(",]"))) {
        return *address;
    }
    return std::nullopt;
}

std::optional<ProcessError> parse_body(std::string_view body)
{
    Scanner scanner(body);
    ProcessError error;
    error.tag = scanner.run(is_tag);
    scanner.literal(": pro=");
    error.pro = scanner.number<std::uint64_t>();
    scanner.literal(", err=");
    error.err = scanner.number<std::uint64_t>();
    scanner.literal(", seq=");
    error.seq = scanner.number<std::uint64_t>();
    scanner.literal(", da1=");
    const auto da1 = take_value(scanner);
    scanner.literal(", da2=");
    const auto da2 = take_value(scanner);
    scanner.literal("]");
    if (scanner.failed() || !scanner.rest().empty() || !da1 || !da2) {
        return std::nullopt;
    }
    error.da1 = *da1;
    error.da2 = *da2;
    return error;
}

}  // namespace

std::optional<Entry> parse(std::string_view line)
{
    while (!line.empty() && (line.back() == '\r' || line.back() == '\n')) {
        line.remove_suffix(1);
    }
    Scanner scanner(line);
    Entry entry;
    entry.time = take_time(scanner);
    scanner.literal(":");
    scanner.run(is_digit);
    scanner.literal(":");
    entry.process.comm = scanner.until("(");
    scanner.literal("(");
    entry.process.pid = scanner.number<std::uint32_t>();
    scanner.literal("):");
    entry.level = scanner.run(is_upper);
    scanner.literal(":[");
    if (scanner.failed() || !line.ends_with(']')) {
        return std::nullopt;
    }
    scanner.optional(' ');
    entry.error = parse_body(scanner.rest());
    return entry;
}

std::string to_string(const Value& value)
{
    const auto* address = std::get_if<AddressPattern>(&value);
    return address != nullptr ? address->text() : std::to_string(std::get<std::uint64_t>(value));
}

}  // namespace drainwatch::cmlog
