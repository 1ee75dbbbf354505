/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/symbolize_json.h"

#include "base/mem.h"
#include "symbolizer/address.h"
#include "symbolizer/resolve.h"

const struct symbolize_json_limits symbolize_json_limits_default = {4096, 1000000};

struct work {
	const struct resolver *resolver;
	struct json_out out;
	size_t pending;
	struct err *e;
	// of the module at hand
	struct module module;
	bool file_offsets;
	const json_t *addresses;
	uint64_t *values; // the addresses, parsed
	struct buf answers; // written before the status is known
	size_t unresolved;
	struct frames frames;
};

// ---- writing -------------------------------------------------------------------------------------

static void put_frame(struct json_out *j, const struct frame *f)
{
	json_obj(j);
	json_kv_str(j, "function", f->function);
	json_kv_str(j, "system_name", f->system_name);
	json_kv_str(j, "file", f->file);
	json_kv_u64(j, "line", f->line);
	json_kv_u64(j, "start_line", f->start_line);
	if (f->column)
		json_kv_u64(j, "column", f->column);
	json_kv_bool(j, "inlined", f->inlined);
	json_end_obj(j);
}

static void put_reason(struct json_out *j, struct symbolize_json_reason why)
{
	if (!why.code)
		return;
	json_kv_cstr(j, "reason", why.code);
	if (why.detail)
		json_kv_cstr(j, "detail", why.detail);
}

void symbolize_json_address(struct json_out *j, uint64_t address, const struct frames *f,
			    struct symbolize_json_reason why)
{
	bool known = f && f->n;

	json_obj(j);
	json_key(j, "address");
	json_hex(j, address);
	json_kv_cstr(j, "source", frame_source_name(known ? f->source : SOURCE_NONE));
	json_key(j, "frames");
	json_arr(j);
	for (size_t i = 0; known && i < f->n; i++)
		put_frame(j, &f->frame[i]);
	json_end_arr(j);
	if (!known)
		put_reason(j, why);
	json_end_obj(j);
}

// ---- one module ----------------------------------------------------------------------------------

static int take_address(const json_t *value, uint64_t *ret)
{
	struct str text;

	if (json_is_integer(value) && json_integer_value(value) >= 0) {
		*ret = (uint64_t)json_integer_value(value);
		return 0;
	}
	if (!json_is_string(value))
		return -1;
	text = (struct str){json_string_value(value), json_string_length(value)};
	return str_hex_to_u64(text, ret) ? 0 : -1;
}

// All of them before the first is looked up: a request is either understood or refused.
static int take_addresses(struct work *w)
{
	size_t n = json_array_size(w->addresses);

	w->values = mem_calloc(n, sizeof(*w->values));
	if (!w->values)
		return err_nomem(w->e);
	for (size_t i = 0; i < n; i++) {
		if (take_address(json_array_get(w->addresses, i), &w->values[i]))
			return err_set(w->e, ERR_BAD_ADDRESS,
				       "addresses[%zu] is neither hexadecimal text such as "
				       "\"0x1139\" nor a whole number",
				       i);
	}
	return 0;
}

static int look_up(struct work *w, uint64_t address, const char **ret_reason)
{
	enum address_rule rule = ADDRESS_IS_VIRTUAL;
	uint64_t va = address;

	w->frames.n = 0;
	if (w->file_offsets && w->module.status == MODULE_OK)
		rule = address_from_offset(&w->module.headers, address, &va);
	if (!address_is_known(rule)) {
		*ret_reason = address_reason(rule);
		return 0;
	}
	return resolve_lookup(w->resolver, &w->module, va, &w->frames, ret_reason, w->e);
}

static int answer_addresses(struct work *w)
{
	struct json_out j = JSON_OUT(&w->answers);

	json_arr(&j);
	for (size_t i = 0; i < json_array_size(w->addresses); i++) {
		struct symbolize_json_reason why = {.detail = w->module.detail};

		if (look_up(w, w->values[i], &why.code))
			return -1;
		w->unresolved += !w->frames.n;
		symbolize_json_address(&j, w->values[i], &w->frames, why);
	}
	json_end_arr(&j);
	return buf_check(&w->answers, "the answer", w->e);
}

static const char *status_of(const struct work *w)
{
	if (w->module.status == MODULE_OK && w->unresolved)
		return "partial";
	return module_status_name(w->module.status);
}

static void put_module(struct work *w, struct str build_id)
{
	json_obj(&w->out);
	json_kv_str(&w->out, "build_id", build_id);
	json_kv_cstr(&w->out, "status", status_of(w));
	put_reason(&w->out, (struct symbolize_json_reason){w->module.reason, w->module.detail});
	json_key(&w->out, "addresses");
	buf_append_str(w->out.b, buf_str(&w->answers));
	json_end_obj(&w->out);
}

static int take_kind(struct work *w, const json_t *module)
{
	const json_t *kind = json_object_get(module, "address_kind");
	struct str text = json_get_str(module, "address_kind");

	w->file_offsets = str_is(text, "file_offset");
	if (!kind || w->file_offsets || str_is(text, "virtual"))
		return 0;
	return err_set(w->e, ERR_BAD_REQUEST,
		       "address_kind is neither \"virtual\" nor \"file_offset\"");
}

static int answer_module(struct work *w, const json_t *module)
{
	struct str build_id = json_get_str(module, "build_id");

	buf_clear(&w->answers);
	w->unresolved = 0;
	if (!json_is_string(json_object_get(module, "build_id")))
		return err_set(w->e, ERR_BAD_REQUEST, "build_id is missing or no string");
	if (take_kind(w, module) || take_addresses(w))
		return -1;
	if (resolve_open(w->resolver, build_id, &w->module, w->e))
		return -1;
	if (answer_addresses(w)) {
		resolve_close(w->resolver, &w->module);
		return -1;
	}
	w->pending += w->module.status == MODULE_PENDING;
	put_module(w, build_id);
	resolve_close(w->resolver, &w->module);
	return 0;
}

// ---- the request ---------------------------------------------------------------------------------

static int check_module(const json_t *module, size_t *addresses, struct err *e)
{
	const json_t *list = json_object_get(module, "addresses");

	if (!json_is_object(module))
		return err_set(e, ERR_BAD_REQUEST, "not an object");
	if (!json_is_array(list))
		return err_set(e, ERR_BAD_REQUEST, "addresses is missing or no list");
	*addresses += json_array_size(list);
	return 0;
}

static int check_request(const json_t *root, const struct symbolize_json_limits *limits,
			 struct err *e)
{
	const json_t *modules = json_object_get(root, "modules");
	size_t addresses = 0;

	if (!json_is_array(modules))
		return err_set(e, ERR_BAD_REQUEST,
			       "the request has no list \"modules\": send "
			       "{\"modules\":[{\"build_id\":\"…\",\"addresses\":[\"0x1139\"]}]}");
	if (json_array_size(modules) > limits->modules)
		return err_set(e, ERR_TOO_LARGE, "%zu modules in one request; at most %zu",
			       json_array_size(modules), limits->modules);
	for (size_t i = 0; i < json_array_size(modules); i++) {
		if (check_module(json_array_get(modules, i), &addresses, e))
			return err_wrap(e, "modules[%zu]", i);
	}
	if (addresses > limits->addresses)
		return err_set(e, ERR_TOO_LARGE, "%zu addresses in one request; at most %zu",
			       addresses, limits->addresses);
	return 0;
}

static int answer_request(struct work *w, const json_t *root)
{
	const json_t *modules = json_object_get(root, "modules");

	json_obj(&w->out);
	json_key(&w->out, "modules");
	json_arr(&w->out);
	for (size_t i = 0; i < json_array_size(modules); i++) {
		const json_t *module = json_array_get(modules, i);
		int r;

		w->addresses = json_object_get(module, "addresses");
		r = answer_module(w, module);
		free(w->values);
		w->values = NULL;
		if (r)
			return err_wrap(w->e, "modules[%zu]", i);
	}
	json_end_arr(&w->out);
	json_end_obj(&w->out);
	return buf_check(w->out.b, "the answer", w->e);
}

static int answer(const json_t *root, const struct resolver *r, struct buf *out,
		  size_t *ret_pending, struct err *e)
{
	struct work *w = mem_zalloc(sizeof(*w));
	int result;

	if (!w)
		return err_nomem(e);
	w->resolver = r;
	w->out = JSON_OUT(out);
	w->answers = BUF_INIT(out->max);
	w->e = e;
	result = answer_request(w, root);
	if (!result)
		*ret_pending = w->pending;
	buf_deinit(&w->answers);
	free(w);
	return result;
}

int symbolize_json(struct str request, const struct resolver *r,
		   const struct symbolize_json_limits *limits, struct buf *out,
		   size_t *ret_pending, struct err *e)
{
	json_t *root;
	int result;

	if (json_parse(request, &root, e))
		return -1;
	result = check_request(root, limits, e);
	if (!result)
		result = answer(root, r, out, ret_pending, e);
	json_decref(root);
	return result;
}
