/* SPDX-License-Identifier: GPL-2.0 */
/* Prototypes of helpers.c; the Rust side has them in ffi.rs. */
#ifndef _EVQ_HELPERS_H
#define _EVQ_HELPERS_H

#include <linux/spinlock_types.h>
#include <linux/types.h>

struct evq_thread;
struct file;
struct iov_iter;
struct irq_work;
struct kiocb;
struct lock_class_key;
struct vm_area_struct;
struct wait_queue_head;

void evq_helper_raw_spin_lock_init(raw_spinlock_t *lock, const char *name,
				   struct lock_class_key *key);
unsigned long evq_helper_raw_spin_lock_irqsave(raw_spinlock_t *lock);
void evq_helper_raw_spin_unlock_irqrestore(raw_spinlock_t *lock, unsigned long flags);
void evq_helper_init_irq_work(struct irq_work *work, void (*func)(struct irq_work *));
struct evq_thread *evq_helper_thread_create(const char *name, void (*func)(void *data), void *data);
void evq_helper_thread_queue_now(struct evq_thread *thread);
void evq_helper_thread_queue_after(struct evq_thread *thread, u64 delay_ns);
void evq_helper_thread_destroy(struct evq_thread *thread);
bool evq_helper_preemptible(void);
bool evq_helper_in_nmi(void);
void evq_helper_cond_resched(void);
bool evq_helper_signal_pending(void);
unsigned int evq_helper_accountable_uid(void);
bool evq_helper_is_above_limits(void);
bool evq_helper_wake_up_poll_few(struct wait_queue_head *wq, __poll_t mask, unsigned int most);
void evq_helper_wake_up_poll_steps(struct wait_queue_head *wq, __poll_t mask, unsigned int step);
bool evq_helper_waitqueue_active(struct wait_queue_head *wq);
size_t evq_helper_copy_to_iter_nofault(const void *from, size_t bytes, struct iov_iter *to);
void evq_helper_file_set_nowait(struct file *file);
bool evq_helper_iocb_nowait(const struct kiocb *iocb);
extern const unsigned int EVQ_FMODE_READ;
extern const unsigned int EVQ_FMODE_WRITE;
void *evq_helper_vmalloc_user(size_t bytes);
void evq_helper_vfree(void *pages);
int evq_helper_remap_vmalloc_range(struct vm_area_struct *vma, void *pages);

/* trace.c */
void evq_trace_post(u64 instance, u64 first, unsigned int count);
void evq_trace_notify(u64 instance, bool woken, bool signalled);
void evq_trace_read(u64 instance, u64 next, u64 delivered, u64 lost);

#endif /* _EVQ_HELPERS_H */
