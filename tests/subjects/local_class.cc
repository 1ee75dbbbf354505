// SPDX-License-Identifier: Apache-2.0
// A member function of a local class inside a function that is only ever inlined: its code is described
// inside an entry that has none.
static inline int mixed(int x)
{
	return x * 31 ^ x >> 3;
}

static inline int outer(int n)
{
	struct Local {
		[[gnu::noinline]] static int member(int x)
		{
			int y = mixed(x) + 1;
			return mixed(y) * y;
		}
	};
	auto closure = [n](int x) __attribute__((noinline)) { return mixed(x + n) + n; };
	return Local::member(n) + closure(n);
}

int main(int argc, char **)
{
	return outer(argc) + outer(argc * 2);
}
