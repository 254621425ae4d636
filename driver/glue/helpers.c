// SPDX-License-Identifier: GPL-2.0
/*
 * What Linux offers only as macros or inline functions, for the Rust files
 * beside this one. Each has the name of what it wraps behind the prefix; no
 * logic lives here.
 */
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/fs.h>
#include <linux/hardirq.h>
#include <linux/irq_work.h>
#include <linux/kthread.h>
#include <linux/poll.h>
#include <linux/preempt.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/uaccess.h>
#include <linux/uio.h>
#include <linux/user_namespace.h>
#include <linux/vmalloc.h>

#include "helpers.h"

void evq_helper_raw_spin_lock_init(raw_spinlock_t *lock, const char *name,
				   struct lock_class_key *key)
{
#ifdef CONFIG_DEBUG_SPINLOCK
	__raw_spin_lock_init(lock, name, key, LD_WAIT_SPIN);
#else
	raw_spin_lock_init(lock);
#endif
}

unsigned long evq_helper_raw_spin_lock_irqsave(raw_spinlock_t *lock)
{
	unsigned long flags;

	raw_spin_lock_irqsave(lock, flags);
	return flags;
}

void evq_helper_raw_spin_unlock_irqrestore(raw_spinlock_t *lock, unsigned long flags)
{
	raw_spin_unlock_irqrestore(lock, flags);
}

void evq_helper_init_irq_work(struct irq_work *work, void (*func)(struct irq_work *))
{
	init_irq_work(work, func);
}

/* A thread with one work item; the Rust bindings lack both types. */
struct evq_thread {
	struct kthread_worker *worker;
	struct kthread_delayed_work work;
	void (*func)(void *data);
	void *data;
};

static void evq_thread_work(struct kthread_work *work)
{
	struct evq_thread *thread = container_of(work, struct evq_thread, work.work);

	thread->func(thread->data);
}

/* NULL if there is not the memory, or no thread can be made. */
struct evq_thread *evq_helper_thread_create(const char *name, void (*func)(void *data), void *data)
{
	struct evq_thread *thread = kzalloc(sizeof(*thread), GFP_KERNEL);

	if (!thread)
		return NULL;
	thread->func = func;
	thread->data = data;
	kthread_init_delayed_work(&thread->work, evq_thread_work);
	thread->worker = kthread_run_worker(0, "%s", name);
	if (IS_ERR(thread->worker)) {
		kfree(thread);
		return NULL;
	}
	return thread;
}

void evq_helper_thread_queue_now(struct evq_thread *thread)
{
	kthread_mod_delayed_work(thread->worker, &thread->work, 0);
}

void evq_helper_thread_queue_after(struct evq_thread *thread, u64 delay_ns)
{
	kthread_queue_delayed_work(thread->worker, &thread->work, nsecs_to_jiffies(delay_ns) + 1);
}

void evq_helper_thread_destroy(struct evq_thread *thread)
{
	kthread_cancel_delayed_work_sync(&thread->work);
	kthread_destroy_worker(thread->worker);
	kfree(thread);
}

bool evq_helper_preemptible(void)
{
	return preemptible();
}

bool evq_helper_in_nmi(void)
{
	return in_nmi();
}

void evq_helper_cond_resched(void)
{
	cond_resched();
}

bool evq_helper_signal_pending(void)
{
	return signal_pending(current);
}

/* The owner of the outermost user namespace below the initial one, or oneself. */
unsigned int evq_helper_accountable_uid(void)
{
	const struct user_namespace *ns = current_user_ns();
	kuid_t uid = current_euid();

	for (; ns != &init_user_ns; ns = ns->parent)
		uid = ns->owner;
	return __kuid_val(uid);
}

bool evq_helper_is_above_limits(void)
{
	return capable(CAP_SYS_RESOURCE);
}

/* In both, the waiters' key: poll and epoll items that did not ask for it stay asleep. */

/*
 * Wakes every waiter, unless there are more than @most: then none. Whether it
 * did. Calls their functions with the lock held, as __wake_up() does.
 */
bool evq_helper_wake_up_poll_few(struct wait_queue_head *wq, __poll_t mask, unsigned int most)
{
	wait_queue_entry_t *curr, *next;
	unsigned int count = 0;
	unsigned long flags;

	spin_lock_irqsave(&wq->lock, flags);
	list_for_each_entry(curr, &wq->head, entry) {
		if (++count > most)
			goto out;
	}
	list_for_each_entry_safe(curr, next, &wq->head, entry) {
		if (curr->func(curr, TASK_NORMAL, 0, poll_to_key(mask)) < 0)
			break;
	}
out:
	spin_unlock_irqrestore(&wq->lock, flags);
	return count <= most;
}

static int evq_bookmark(struct wait_queue_entry *entry, unsigned int mode, int flags, void *key)
{
	return 0;
}

/*
 * Wakes every waiter, with the lock held for @step of them at a time. In
 * between, an entry that nothing wakes keeps the place.
 */
void evq_helper_wake_up_poll_steps(struct wait_queue_head *wq, __poll_t mask, unsigned int step)
{
	wait_queue_entry_t bookmark = { .func = evq_bookmark }, *curr, *next;
	unsigned int count;
	unsigned long flags;

	INIT_LIST_HEAD(&bookmark.entry);
	do {
		count = 0;
		spin_lock_irqsave(&wq->lock, flags);
		curr = list_first_entry(&wq->head, wait_queue_entry_t, entry);
		if (!list_empty(&bookmark.entry)) {
			curr = list_next_entry(&bookmark, entry);
			list_del_init(&bookmark.entry);
		}
		list_for_each_entry_safe_from(curr, next, &wq->head, entry) {
			if (count++ == step) {
				list_add_tail(&bookmark.entry, &curr->entry);
				break;
			}
			if (curr->func(curr, TASK_NORMAL, 0, poll_to_key(mask)) < 0)
				break;
		}
		spin_unlock_irqrestore(&wq->lock, flags);
		cond_resched();
	} while (!list_empty(&bookmark.entry));
}

bool evq_helper_waitqueue_active(struct wait_queue_head *wq)
{
	return waitqueue_active(wq);
}

size_t evq_helper_copy_to_iter_nofault(const void *from, size_t bytes, struct iov_iter *to)
{
	size_t copied;

	pagefault_disable();
	copied = copy_to_iter(from, bytes, to);
	pagefault_enable();
	return copied;
}

void evq_helper_file_set_nowait(struct file *file)
{
	file->f_mode |= FMODE_NOWAIT;
}

bool evq_helper_iocb_nowait(const struct kiocb *iocb)
{
	return (iocb->ki_flags & IOCB_NOWAIT) ||
	       (READ_ONCE(iocb->ki_filp->f_flags) & O_NONBLOCK);
}

const unsigned int EVQ_FMODE_READ = (__force unsigned int)FMODE_READ;
const unsigned int EVQ_FMODE_WRITE = (__force unsigned int)FMODE_WRITE;

void *evq_helper_vmalloc_user(size_t bytes)
{
	return vmalloc_user(bytes);
}

void evq_helper_vfree(void *pages)
{
	vfree(pages);
}

int evq_helper_remap_vmalloc_range(struct vm_area_struct *vma, void *pages)
{
	return remap_vmalloc_range(vma, pages, vma->vm_pgoff);
}
