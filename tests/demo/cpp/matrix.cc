// SPDX-License-Identifier: Apache-2.0
// A C++ workload whose hot code sits in templates and inlined functions: small matrices, multiplied.
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>

namespace linear {

template <typename T, int N> class Matrix {
public:
	explicit Matrix(T seed)
	{
		for (int i = 0; i < N * N; i++)
			cells_[i] = seed + static_cast<T>(i % 7);
	}

	inline T at(int row, int column) const
	{
		return cells_[row * N + column];
	}

	T dot(const Matrix &other, int row, int column) const
	{
		T sum{};
		for (int k = 0; k < N; k++)
			sum += at(row, k) * other.at(k, column);
		return sum;
	}

	__attribute__((noinline)) Matrix multiply(const Matrix &other) const
	{
		Matrix result(T{});
		for (int row = 0; row < N; row++)
			for (int column = 0; column < N; column++)
				result.cells_[row * N + column] = dot(other, row, column);
		return result;
	}

	T trace() const
	{
		T sum{};
		for (int i = 0; i < N; i++)
			sum += at(i, i);
		return sum;
	}

private:
	std::array<T, N * N> cells_;
};

} // namespace linear

template <typename Work> __attribute__((noinline)) static double repeat(double seconds, Work work)
{
	using clock = std::chrono::steady_clock;
	const auto end = clock::now() + std::chrono::duration<double>(seconds);
	double total = 0;
	while (clock::now() < end)
		total += work();
	return total;
}

int main(int argc, char **argv)
{
	const double seconds = argc > 1 ? std::atof(argv[1]) : 10;
	linear::Matrix<float, 48> a(0.5f);
	linear::Matrix<float, 48> b(0.25f);
	const double total = repeat(seconds, [&] { return static_cast<double>(a.multiply(b).trace()); });
	std::printf("matrix: %g\n", total);
	return 0;
}
