// SPDX-License-Identifier: GPL-2.0
/*
 * The symbols that other modules link to. They are written in Rust (capi.rs);
 * only C can export them from a module out of tree.
 */
#include <linux/build_bug.h>
#include <linux/export.h>
#include <linux/stddef.h>

#include <evq.h>

static_assert(sizeof(struct evq_event) == 64);
static_assert(sizeof(struct evq_info) == 128);
static_assert(sizeof(struct evq_seek) == 16);
static_assert(offsetof(struct evq_map, newest) == 64);

EXPORT_SYMBOL_NS_GPL(evq_default, "EVQ");
EXPORT_SYMBOL_NS_GPL(evq_post, "EVQ");
EXPORT_SYMBOL_NS_GPL(evq_post_batch, "EVQ");
EXPORT_SYMBOL_NS_GPL(evq_queue_create, "EVQ");
EXPORT_SYMBOL_NS_GPL(evq_queue_retire, "EVQ");
