/* SPDX-License-Identifier: Apache-2.0 */
// Real profiles from a real producer, judged by a real consumer: Go's runtime/pprof writes them,
// `go tool pprof` reads what we make of them.
#include "symbolizer/pprof.h"

#include "base/compress.h"
#include "symbolizer/address.h"
#include "symbolizer/pprof_top.h"
#include "tests/unit/elf_headers.h"
#include "tests/unit/toolbox.h"

static const char program[] =
	"package main\n"
	"import (\"context\"; \"os\"; \"runtime/pprof\"; \"time\")\n"
	"var sink uint64\n"
	"//go:noinline\n"
	"func burn(n uint64) uint64 {\n"
	"	s := n\n"
	"	for i := uint64(0); i < 1000000; i++ { s = s*6364136223846793005 + 1442695040888963407 }\n"
	"	return s\n"
	"}\n"
	"//go:noinline\n"
	"func outer(until time.Time) { for time.Now().Before(until) { sink += burn(sink) } }\n"
	"func main() {\n"
	"	f, _ := os.Create(os.Args[1])\n"
	"	pprof.StartCPUProfile(f)\n"
	"	ctx := context.Background()\n"
	"	pprof.Do(ctx, pprof.Labels(\"phase\", \"warm\"), func(context.Context) {\n"
	"		outer(time.Now().Add(150 * time.Millisecond))\n"
	"	})\n"
	"	outer(time.Now().Add(150 * time.Millisecond))\n"
	"	pprof.StopCPUProfile()\n"
	"	f.Close()\n"
	"}\n";


struct loaded {
	struct buf identity;
	struct arena arena;
	struct pprof p;
};

static bool have_profiles;
static struct loaded one, two;
static struct err e;

static void need_profiles(void)
{
	if (!have_profiles) {
		print_message("SKIP: no usable go here\n");
		skip();
	}
}

static int make_profiles(void **state)
{
	if (toolbox_setup(state))
		return -1;
	if (!toolbox_go())
		return 0;
	toolbox_write("main.go", str_from(program));
	have_profiles = toolbox_go_build("", "plain") &&
			toolbox_run("./plain one.pb.gz && ./plain two.pb.gz") == 0;
	return 0;
}

static void load(struct loaded *l, const char *name)
{
	size_t n;
	char *packed = toolbox_read(name, &n);

	l->identity = BUF_INIT(MIB(64));
	l->arena = ARENA_INIT(MIB(256));
	if (decompress_any((struct str){packed, n}, &l->identity, &e) ||
	    pprof_decode(buf_str(&l->identity), &pprof_limits_default, &l->arena, &l->p, &e))
		fail_msg("%s", e.msg);
	free(packed);
}

static void unload(struct loaded *l)
{
	buf_deinit(&l->identity);
	arena_deinit(&l->arena);
}

static void save(const struct pprof *p, const char *name)
{
	struct buf identity = BUF_INIT(MIB(64));
	struct buf packed = BUF_INIT(MIB(64));

	if (pprof_encode(p, &identity, &e) || gzip_compress(buf_str(&identity), 6, &packed, &e))
		fail_msg("%s", e.msg);
	toolbox_write(name, buf_str(&packed));
	buf_deinit(&identity);
	buf_deinit(&packed);
}

static int go_pprof(const char *how, const char *files, const char *out)
{
	return toolbox_run("HOME=%s %s tool pprof -symbolize=none %s %s >%s 2>pprof.log",
			   toolbox_dir, toolbox_go(), how, files, out);
}

// ---- tests ---------------------------------------------------------------------------------------

static void what_go_reads_stays_the_same(void **state)
{
	(void)state;
	need_profiles();
	load(&one, "one.pb.gz");
	assert_true(one.p.sample_count > 0);
	assert_true(one.p.mapping_count > 0);
	save(&one.p, "again.pb.gz");
	assert_int_equal(go_pprof("-raw", "one.pb.gz", "before.txt"), 0);
	assert_int_equal(go_pprof("-raw", "again.pb.gz", "after.txt"), 0);
	assert_int_equal(toolbox_run("test -s before.txt && diff before.txt after.txt"), 0);
	unload(&one);
}

static int64_t total(const struct pprof *p, size_t value)
{
	int64_t sum = 0;

	for (size_t i = 0; i < p->sample_count; i++)
		sum += p->samples[i].values[value];
	return sum;
}

static void assert_same_top(const char *a, const char *b)
{
	assert_int_equal(go_pprof("-top -nodecount=0", a, "a.txt"), 0);
	assert_int_equal(go_pprof("-top -nodecount=0", b, "b.txt"), 0);
	// All but the head, where the file's name and the time stand.
	assert_int_equal(toolbox_run("sed -n '/flat%%/,$p' a.txt >a.rows; sed -n '/flat%%/,$p' b.txt >b.rows;"
				     "test -s a.rows && diff a.rows b.rows"),
			 0);
}

static void merging_agrees_with_go(void **state)
{
	const struct pprof *both[] = {&one.p, &two.p};
	struct loaded theirs;
	struct pprof ours;

	(void)state;
	need_profiles();
	load(&one, "one.pb.gz");
	load(&two, "two.pb.gz");
	if (pprof_merge(both, 2, &one.arena, &ours, &e))
		fail_msg("%s", e.msg);
	save(&ours, "ours.pb.gz");
	assert_int_equal(go_pprof("-proto -output=theirs.pb.gz", "one.pb.gz two.pb.gz", "x.txt"), 0);
	load(&theirs, "theirs.pb.gz");
	assert_int_equal(total(&ours, 0), total(&theirs.p, 0));
	assert_int_equal(total(&ours, 1), total(&theirs.p, 1));
	assert_int_equal(total(&ours, 1), total(&one.p, 1) + total(&two.p, 1));
	assert_int_equal(ours.sample_count, theirs.p.sample_count);
	assert_int_equal(ours.location_count, theirs.p.location_count);
	assert_int_equal(ours.function_count, theirs.p.function_count);
	assert_int_equal(ours.duration_nanos, theirs.p.duration_nanos);
	assert_int_equal(ours.time_nanos, theirs.p.time_nanos);
	assert_int_equal(ours.period, theirs.p.period);
	assert_same_top("ours.pb.gz", "theirs.pb.gz");
	unload(&one);
	unload(&two);
	unload(&theirs);
}

// Flat and cum of one function in what `go tool pprof -top -unit=ns` printed.
static bool find_row(const char *text, struct str function, double *ret_flat, double *ret_cum)
{
	struct str rest = str_from(text);
	struct str line;

	while (str_next(&rest, '\n', &line)) {
		char copy[512], flat[32], cum[32], name[256];

		snprintf(copy, sizeof(copy), STR_FMT, STR_ARG(line));
		if (sscanf(copy, "%31s %*s %*s %31s %*s %255s", flat, cum, name) == 3 &&
		    str_is(function, name))
			return sscanf(flat, "%lf", ret_flat) == 1 &&
			       sscanf(cum, "%lf", ret_cum) == 1;
	}
	return false;
}

static void top_agrees_with_go(void **state)
{
	struct pprof_top top;
	size_t burn = 0;
	size_t found = 0;
	char *text;

	(void)state;
	need_profiles();
	load(&one, "one.pb.gz");
	assert_int_equal(pprof_top(&one.p, pprof_default_value(&one.p), &one.arena, &top, &e), 0);
	assert_true(str_is(top.type.unit, "nanoseconds"));
	assert_int_equal(top.total, total(&one.p, 1));
	while (burn < top.n && !str_is(top.rows[burn].function, "main.burn"))
		burn++;
	assert_true(burn < top.n);
	assert_true(str_has_suffix(top.rows[burn].file, STR("main.go")));
	// The line of the loop, or of the step in it.
	assert_true(top.rows[burn].line >= 5 && top.rows[burn].line <= 9);
	assert_true(top.rows[burn].share > 0.3);
	assert_int_equal(go_pprof("-top -unit=ns -nodefraction=0", "one.pb.gz", "top.txt"), 0);
	text = toolbox_read("top.txt", NULL);
	for (size_t i = 0; i < top.n; i++) {
		double flat, cum;

		if (!find_row(text, top.rows[i].function, &flat, &cum))
			continue;
		assert_true(flat == (double)top.rows[i].flat);
		assert_true(cum == (double)top.rows[i].cum);
		found++;
	}
	assert_true(found >= 3);
	free(text);
	unload(&one);
}

// ---- addresses -----------------------------------------------------------------------------------

// Each location that Go named main.burn must lie just behind that symbol's address by nm.
static void check_addresses(const char *binary, const char *profile, enum address_rule want)
{
	const struct program_headers h = elf_headers(binary, true);
	uint64_t burn = toolbox_nm(binary, "main.burn");
	size_t met = 0;

	load(&one, profile);
	for (size_t i = 0; i < one.p.location_count; i++) {
		const struct pprof_location *loc = &one.p.locations[i];
		const struct pprof_mapping *m = &one.p.mappings[loc->mapping];
		const struct address_mapping am = {m->start, m->limit, m->file_offset};
		uint64_t va;

		if (!str_is(one.p.functions[loc->lines[0].function].name, "main.burn"))
			continue;
		assert_int_equal(address_to_va(&am, &h, loc->address, &va), want);
		assert_true(va >= burn && va < burn + 200);
		met++;
	}
	assert_true(met > 0);
	unload(&one);
}

static void addresses_of_a_fixed_go_program(void **state)
{
	(void)state;
	need_profiles();
	check_addresses("plain", "one.pb.gz", ADDRESS_IN_SEGMENT);
}

static void addresses_of_a_go_pie(void **state)
{
	(void)state;
	need_profiles();
	if (!toolbox_go_build("-buildmode=pie", "pie")) {
		print_message("SKIP: this go builds no PIE\n");
		skip();
	}
	assert_int_equal(toolbox_run("./pie pie.pb.gz"), 0);
	check_addresses("pie", "pie.pb.gz", ADDRESS_BY_FILE_OFFSET);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_go_reads_stays_the_same),
		cmocka_unit_test(merging_agrees_with_go),
		cmocka_unit_test(top_agrees_with_go),
		cmocka_unit_test(addresses_of_a_fixed_go_program),
		cmocka_unit_test(addresses_of_a_go_pie),
	};

	return cmocka_run_group_tests_name("pprof_go", tests, make_profiles, toolbox_teardown);
}
