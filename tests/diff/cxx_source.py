# SPDX-License-Identifier: Apache-2.0
"""A C++ program that hurts, written rather than kept: files() gives {name: source}.

Each unit instantiates the standard library's heavy templates (regex, variant, map, sort, function, tuple)
and its own (expression templates, recursion over type lists, CRTP, fold expressions) with types of its own,
so that no two units share much, beside headers that all share and the linker folds or link-time
optimization inlines across units.
"""

SHARED = """// generated
#pragma once
#include <algorithm>
#include <array>
#include <functional>
#include <map>
#include <memory>
#include <numeric>
#include <optional>
#include <regex>
#include <sstream>
#include <string>
#include <tuple>
#include <unordered_map>
#include <variant>
#include <vector>

namespace hurt {

template <class L, class R, class Op> struct Expr {
	L l;
	R r;
	double at(std::size_t i) const { return Op::apply(l.at(i), r.at(i)); }
};
struct Add { static double apply(double a, double b) { return a + b; } };
struct Mul { static double apply(double a, double b) { return a * b; } };
struct Leaf {
	const std::vector<double> *v;
	double at(std::size_t i) const { return (*v)[i % v->size()]; }
};
template <class L, class R> auto operator+(L l, R r) -> Expr<L, R, Add> { return {l, r}; }
template <class L, class R> auto operator*(L l, R r) -> Expr<L, R, Mul> { return {l, r}; }

template <int Depth, class Tag> struct Nest {
	static inline int walk(int x)
	{
		if (x % (Depth + 3) == 1)
			return Nest<Depth - 1, Tag>::walk(x * 3 + Depth) + 1;
		return Nest<Depth - 1, Tag>::walk(x - 1);
	}
};
template <class Tag> struct Nest<0, Tag> {
	static inline int walk(int x) { return Tag::leaf(x); }
};

template <class Derived> struct Shape {
	double area() const { return static_cast<const Derived *>(this)->area_of(); }
	double twice() const { return 2 * area(); }
};

template <class... T> double total(const std::tuple<T...> &t)
{
	return std::apply([](const auto &...s) { return (s.twice() + ... + 0.0); }, t);
}

template <class... F> struct Overloaded : F... { using F::operator()...; };
template <class... F> Overloaded(F...) -> Overloaded<F...>;

inline int shared_hash(const std::string &s)
{
	int h = 7;
	for (char c : s)
		h = h * 31 + c;
	return h;
}
int unit_sum(int n);
}
"""

UNIT = """// generated
#include "hurt.h"

namespace hurt {
namespace {

struct Tag@ {
	static int leaf(int x) { return x ^ @; }
};
struct Square@ : Shape<Square@> {
	double side = @ + 1;
	double area_of() const { return side * side; }
};
struct Disc@ : Shape<Disc@> {
	double r = @ + 0.5;
	double area_of() const { return r * r * 3.14; }
};
struct Key@ {
	int a;
	std::string b;
	friend bool operator<(const Key@ &l, const Key@ &r) { return std::tie(l.a, l.b) < std::tie(r.a, r.b); }
	friend bool operator==(const Key@ &l, const Key@ &r) { return std::tie(l.a, l.b) == std::tie(r.a, r.b); }
};
struct Hash@ {
	std::size_t operator()(const Key@ &k) const { return std::size_t(k.a) * 31 + std::hash<std::string>{}(k.b); }
};

using Value@ = std::variant<int, double, std::string, std::vector<Key@>, std::unique_ptr<Key@>>;

int visit_all(const std::vector<Value@> &values)
{
	int sum = 0;
	for (const auto &v : values)
		sum += std::visit(Overloaded{
			[](int i) { return i; },
			[](double d) { return int(d * @); },
			[](const std::string &s) { return shared_hash(s); },
			[](const std::vector<Key@> &k) {
				return std::accumulate(k.begin(), k.end(), 0, [](int n, const Key@ &x) { return n + x.a; });
			},
			[](const std::unique_ptr<Key@> &p) { return p ? p->a : -1; }}, v);
	return sum;
}

int sorted(std::vector<Key@> keys)
{
	std::sort(keys.begin(), keys.end());
	std::stable_sort(keys.begin(), keys.end(), [](const auto &l, const auto &r) { return l.b.size() < r.b.size(); });
	keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
	std::map<Key@, std::function<int(int)>> by_key;
	std::unordered_map<Key@, int, Hash@> counts;
	for (const auto &k : keys) {
		by_key.emplace(k, [k](int n) { return k.a + n + Nest<12, Tag@>::walk(n); });
		counts[k] += k.a;
	}
	int sum = 0;
	for (const auto &[k, f] : by_key)
		sum += f(counts.at(k));
	return sum;
}

double expression(const std::vector<double> &v)
{
	Leaf a{&v}, b{&v}, c{&v};
	auto e = (a + b * c) * (b + a * a + c) + a * b * c * (a + Leaf{&v});
	double sum = 0;
	for (std::size_t i = 0; i < v.size() + @; i++)
		sum += e.at(i);
	return sum;
}

std::optional<int> parsed(const std::string &text)
{
	static const std::basic_regex<char> pattern("([a-z]+)=(\\\\d+)(;@)?");
	std::smatch m;
	if (!std::regex_search(text, m, pattern))
		return std::nullopt;
	std::istringstream in(m[2]);
	int n = 0;
	in >> n;
	return n;
}

int thrower(int n)
{
	try {
		if (n % 7 == @ % 7)
			throw Key@{n, "thrown"};
		return Nest<20, Tag@>::walk(n);
	} catch (const Key@ &k) {
		return k.a;
	}
}

}

int unit_@(int n)
{
	std::vector<Key@> keys;
	for (int i = 0; i < n; i++)
		keys.push_back({i * 7919 % 101, std::to_string(i * @)});
	std::vector<Value@> values;
	values.emplace_back(n);
	values.emplace_back(n * 0.5);
	values.emplace_back(std::string("key=12;@"));
	values.emplace_back(keys);
	values.emplace_back(std::make_unique<Key@>(keys.empty() ? Key@{} : keys.front()));
	std::vector<double> v(std::size_t(n) + 1, 1.5);
	std::tuple<Square@, Disc@, Square@> shapes;
	return visit_all(values) + sorted(keys) + int(expression(v)) + parsed("key=12;@").value_or(1) + thrower(n) +
	       int(total(shapes));
}
}
"""


def files(units):
    found = {"hurt.h": SHARED}
    for i in range(units):
        found[f"unit{i}.cc"] = UNIT.replace("@", str(i))
    calls = "\n".join(f"\tn += hurt::unit_{i}(n % 20);" for i in range(units))
    declared = "\n".join(f"int unit_{i}(int n);" for i in range(units))
    found["main.cc"] = (f'#include "hurt.h"\nnamespace hurt {{\n{declared}\n}}\n'
                        f"int main(int argc, char **)\n{{\n\tint n = argc;\n{calls}\n\treturn n == 42;\n}}\n")
    return found
