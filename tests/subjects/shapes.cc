// SPDX-License-Identifier: Apache-2.0
// A C++ subject: templates, inlining over several levels, a virtual call, an anonymous namespace.
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

namespace shapes {

class Shape {
public:
	virtual ~Shape() = default;
	virtual double area() const = 0;
};

template <typename T> static inline T square(T x)
{
	return x * x;
}

template <typename T> static inline T scaled_square(T x, T factor)
{
	T result = square(x) * factor;
	if (result < T(0))
		std::puts("negative");
	return result;
}

class Circle final : public Shape {
public:
	explicit Circle(double r) : r_(r) {}
	double area() const override
	{
		return scaled_square(r_, 3.14159);
	}

private:
	double r_;
};

class Box final : public Shape {
public:
	Box(double w, double h) : w_(w), h_(h) {}
	double area() const override
	{
		if (w_ < 0 || h_ < 0)
			std::abort();
		return w_ * h_;
	}

private:
	double w_, h_;
};

} // namespace shapes

namespace {

__attribute__((noinline)) double total_area(const std::vector<std::unique_ptr<shapes::Shape>> &all)
{
	double sum = 0;
	for (const auto &shape : all)
		sum += shape->area();
	return sum;
}

} // namespace

extern "C" __attribute__((noinline)) int plain_c_function(int x)
{
	volatile int y = x;
	return y * 3 + 1;
}

int main(int argc, char **argv)
{
	std::vector<std::unique_ptr<shapes::Shape>> all;
	for (int i = 0; i < argc + 10; i++) {
		if (i % 2)
			all.push_back(std::make_unique<shapes::Circle>(i));
		else
			all.push_back(std::make_unique<shapes::Box>(i, argc));
	}
	std::string text = std::to_string(total_area(all)) + (argc > 1 ? argv[1] : "");
	std::printf("%s %d\n", text.c_str(), plain_c_function(argc));
	return 0;
}
