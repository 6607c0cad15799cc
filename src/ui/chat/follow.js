/** The reader is at the end if less than this is below the window; CSS pixels. */
const nearEnd = 80;

/** Scrolls with a text that grows, unless the reader has scrolled up. */
export class Follow {
  #isFollowing = true;

  start() {
    window.addEventListener(
      'scroll',
      () => {
        this.#isFollowing = this.#below() < nearEnd;
      },
      { passive: true },
    );
  }

  /** After the text has grown. */
  grown() {
    if (this.#isFollowing) window.scrollTo({ top: document.documentElement.scrollHeight });
  }

  /** Goes to the end, and follows from there. */
  toEnd() {
    this.#isFollowing = true;
    this.grown();
  }

  #below() {
    const { scrollHeight, clientHeight } = document.documentElement;
    return scrollHeight - clientHeight - window.scrollY;
  }
}
