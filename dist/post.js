/** The post step: the same bundle under another name, by which it knows what it is. */
import './index.js';
