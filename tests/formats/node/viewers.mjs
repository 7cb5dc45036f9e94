// Shows one splat file in a viewer of others, in a page that the test opens:
//   ?viewer=spark|playcanvas|three&file=/file.ply
// The camera looks from +z at the origin with y up. `window.shown` is set when the file was drawn.
const { searchParams } = new URL(location.href);
const viewer = searchParams.get('viewer');
const file = searchParams.get('file');
const DISTANCE = 2, FOV = 40;

async function waitFrames(count, render) {
	for (let k = 0; k < count; k++) {
		await new Promise((resolve) => requestAnimationFrame(resolve));
		await render?.();
	}
}

const viewers = {
	async spark(canvas) {
		const THREE = await import('three');
		const { SparkRenderer, SplatMesh } = await import('@sparkjsdev/spark');
		const renderer = new THREE.WebGLRenderer({ canvas });
		renderer.setClearColor(0xffffff);
		const scene = new THREE.Scene();
		scene.add(new SparkRenderer({ renderer }));
		const camera = new THREE.PerspectiveCamera(FOV, canvas.width / canvas.height, 0.1, 10);
		camera.position.z = DISTANCE;
		const mesh = new SplatMesh({ url: file });
		scene.add(mesh);
		await mesh.initialized;
		await waitFrames(30, () => renderer.render(scene, camera));
	},
	async playcanvas(canvas) {
		const pc = await import('playcanvas');
		const app = new pc.Application(canvas, { graphicsDeviceOptions: { preserveDrawingBuffer: true } });
		app.start();
		const camera = new pc.Entity();
		camera.addComponent('camera', { clearColor: new pc.Color(1, 1, 1), fov: FOV, nearClip: 0.1 });
		camera.setPosition(0, 0, DISTANCE);
		app.root.addChild(camera);
		const kind = file.endsWith('.glb') ? 'container' : 'gsplat';
		const asset = new pc.Asset('splats', kind, { url: file });
		app.assets.add(asset);
		await new Promise((resolve, reject) => {
			asset.once('load', resolve);
			asset.once('error', (problem) => reject(new Error(problem)));
			app.assets.load(asset);
		});
		const entity = kind === 'container' ? asset.resource.instantiateRenderEntity() : new pc.Entity();
		if (kind === 'gsplat') entity.addComponent('gsplat', { asset });
		app.root.addChild(entity);
		await waitFrames(30);
	},
};

try {
	await viewers[viewer](document.querySelector('canvas'));
	window.shown = 'yes';
} catch (error) {
	window.shown = `failed: ${error.stack ?? error}`;
}
